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
from shirase.web.json_body import DISCARDED, MAX_BODY
from shirase.web.operation import Operation
from shirase.web.prefix import at_proxy, wsgi_path, wsgi_root
from shirase.web.problems import HostRefusal
from shirase.web.respond import respond

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def mount(
    target: flask.Flask | flask.Blueprint, endpoints: Sequence[Endpoint], identify: HostSignIn | None = None
) -> None:
    """Add a route for each path, which also answers methods without an operation, as the service does."""
    signed_in = _refusing(identify) if identify else None
    if isinstance(target, flask.Blueprint):
        target.record(lambda state: _add_converter(state.app))
    else:
        _add_converter(target)
    for path, methods in by_path(endpoints).items():
        name = next(iter(methods.values())).name.replace(".", "_")
        view = _view(methods, signed_in)
        # A parameter may contain two slashes.
        rule = path.replace("<path:", f"<{AnyText.NAME}:")
        target.add_url_rule(
            rule, name, view, methods=METHODS, provide_automatic_options=False, merge_slashes=AnyText.NAME not in rule
        )


class AnyText(PathConverter):
    """A parameter of any text, even with a slash at the beginning."""

    NAME = "shirase_text"
    regex = "(?s:.+)"
    part_isolating = False


def _add_converter(app: Any) -> None:
    app.url_map.converters[AnyText.NAME] = AnyText


def read_request(rule: str | None = None, parameters: Mapping[str, Any] | None = None) -> Request:
    """Convert Flask's current request; ``rule`` is the operation's, without the prefix."""
    asked = flask.request
    parts = asked.path.split("/")
    slashes = sum(str(value).count("/") for value in (parameters or {}).values())  # inside parameters
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
        own = {name: parameters[name] for name in first.parameters}  # the prefix may have parameters too
        services: Services = flask.current_app.extensions["shirase"]
        return response_of(respond(methods, Call(services, read_request(first.path, own), identify), own))

    view.operation = first.operation  # type: ignore[attr-defined]
    return view


def operation_at(endpoint: str | None) -> Operation | None:
    """The operation of an endpoint; ``None`` for pages and unknown paths."""
    return getattr(flask.current_app.view_functions.get(endpoint or ""), "operation", None)


def response_of(answer: Response) -> flask.Response:
    """Convert a response to Flask's."""
    response = flask.Response(
        answer.parts or answer.data, answer.status, answer.headers, content_type=answer.content_type
    )
    if answer.content_type is None:
        del response.headers["Content-Type"]
    return response


def _refusing(identify: HostSignIn) -> HostSignIn:
    """Convert an abort of the host's sign-in to a problem document with its status and description."""

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
    """Read and discard: closing with unread bytes resets the connection, which Pushpin 1.41 reports as a 502."""
    remaining = min(length, DISCARDED)
    with suppress(StillArriving):  # do not wait for a slow client
        while remaining and (part := flask.request.environ["wsgi.input"].read(min(remaining, 65_536))):
            remaining -= len(part)
