"""Operations as routes of Flask."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any
from uuid import UUID

import flask
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge
from werkzeug.routing import PathConverter

from shirase.access.tokens import Identity
from shirase.errors import TooSlow
from shirase.inbox.services import Services
from shirase.web.arrival import StillArriving
from shirase.web.blueprint import Endpoint, by_path
from shirase.web.bodies import LATE, too_large
from shirase.web.call import Call, HostSignIn
from shirase.web.http import Headers, Request, Response
from shirase.web.json_body import MAX_BODY
from shirase.web.prefix import at_proxy, wsgi_path, wsgi_root
from shirase.web.problems import HostRefusal
from shirase.web.respond import respond

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
DISCARDED = 8 * MAX_BODY  # of a body that is refused for its size


def mount(
    target: flask.Flask | flask.Blueprint, endpoints: Sequence[Endpoint], identify: HostSignIn | None = None
) -> None:
    """Add a route for each path. Methods without an operation are answered there too, as the service answers them."""
    signed_in = _refusing(identify) if identify else None
    if isinstance(target, flask.Blueprint):
        target.record(lambda state: _add_converter(state.app))
    else:
        _add_converter(target)
    for path, methods in by_path(endpoints).items():
        name = next(iter(methods.values())).name.replace(".", "_")
        view = _view(methods, signed_in)
        # Two slashes may be a part of what a parameter holds.
        rule = path.replace("<path:", f"<{AnyText.NAME}:")
        target.add_url_rule(
            rule, name, view, methods=METHODS, provide_automatic_options=False, merge_slashes=AnyText.NAME not in rule
        )


class AnyText(PathConverter):
    """A parameter of any text, that may begin with a slash too."""

    NAME = "shirase_text"
    regex = "(?s:.+)"
    part_isolating = False


def _add_converter(app: Any) -> None:
    app.url_map.converters[AnyText.NAME] = AnyText


def read_request(rule: str | None = None, parameters: Mapping[str, Any] | None = None) -> Request:
    """The request that Flask is answering; ``rule`` is the operation's, below whatever prefix."""
    asked = flask.request
    parts = asked.path.split("/")
    slashes = sum(str(value).count("/") for value in (parameters or {}).values())  # in parameters
    own = len(parts) - (rule.count("/") + slashes if rule else len(parts))
    path = "/".join(["", *parts[own:]]) if rule else asked.path
    mount = "/".join(parts[:own])
    root = wsgi_root(asked.environ, asked.script_root)
    return Request(
        method=asked.method,
        path=path,
        prefix=asked.script_root + mount,
        proxy_prefix=at_proxy(wsgi_path(asked.environ), root, mount, asked.path),
        host=asked.host,
        headers=Headers(asked.headers),
        query=tuple(asked.args.items(multi=True)),
        cookies=asked.cookies,
        body=_read_body,
        native=asked,
    )


def _view(methods: Mapping[str, Endpoint], identify: HostSignIn | None) -> Callable[..., flask.Response]:
    first = next(iter(methods.values()))

    def view(**parameters: Any) -> flask.Response:
        own = {name: parameters[name] for name in first.parameters}  # the prefix may have others
        services: Services = flask.current_app.extensions["shirase"]
        return response_of(respond(methods, Call(services, read_request(first.path, own), identify), own))

    view.operation = first.operation  # type: ignore[attr-defined]
    return view


def response_of(answer: Response) -> flask.Response:
    """The answer as Flask gives it."""
    response = flask.Response(answer.data, answer.status, answer.headers, content_type=answer.content_type)
    if answer.content_type is None:
        del response.headers["Content-Type"]
    return response


def _refusing(identify: HostSignIn) -> HostSignIn:
    """The host's sign-in may abort: then its status and its words are answered in our form."""

    def signed_in(asked: Any) -> Identity | str | int | UUID | None:
        try:
            return identify(asked)
        except HTTPException as exc:
            headers = {name: value for name, value in exc.get_headers() if not name.lower().startswith("content-")}
            raise HostRefusal(exc.code or 500, exc.description or exc.name, headers) from exc

    return signed_in


def _read_body() -> bytes:
    asked = flask.request
    asked.max_content_length = MAX_BODY
    if asked.content_length is not None and asked.content_length > MAX_BODY:
        _discard(asked.content_length)
        raise too_large()
    try:
        return asked.get_data(cache=True)
    except RequestEntityTooLarge as exc:
        raise too_large() from exc
    except ClientDisconnected as exc:
        raise TooSlow(LATE) from exc


def _discard(length: int) -> None:
    """Read on without keeping anything: who closes on unread bytes resets, and Pushpin 1.41 makes a 502 of that."""
    left = min(length, DISCARDED)
    with suppress(StillArriving):  # what comes slowly is not waited for
        while left and (part := flask.request.environ["wsgi.input"].read(min(left, 65_536))):
            left -= len(part)
