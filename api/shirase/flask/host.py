"""What an application's own hooks must not do to the operations that it has mounted.

A ``before_request`` of the application runs before the blueprint's. One that redirects to a sign-in page would redirect
the proxy too, which has no session, and its streams would stay open and deaf.
"""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import flask

from shirase.errors import Unauthenticated
from shirase.flask.adapter import read_request, response_of
from shirase.inbox.services import Services
from shirase.web import problems
from shirase.web.call import Call
from shirase.web.operation import PROXY, Operation
from shirase.web.respond import finish

NOT_SIGNED_IN = "nobody has signed in: the application answered this request by itself"


def answer_the_proxy_first(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Answer what is for the proxy alone before any hook of the application runs; it proves itself by its signature.

    A preprocessor of URL values is the only hook that runs that early. It ends a request by raising.
    """
    view = flask.current_app.view_functions[endpoint or ""]
    described: Operation | None = getattr(view, "operation", None)
    if described and described.access == PROXY:
        flask.abort(flask.make_response(view(**(values or {}))))


def refuse_in_json(response: flask.Response) -> flask.Response:
    """A redirect to a sign-in page, or the page itself, is 401 for a client of the API, as our own refusals are."""
    if "X-Request-Id" in response.headers or not _asks_to_sign_in(response):
        return response
    services: Services = flask.current_app.extensions["shirase"]
    call = Call(services, read_request())
    answer = problems.answer(Unauthenticated(NOT_SIGNED_IN), call)
    finish(answer, call, "none")
    return response_of(answer)


def _asks_to_sign_in(response: flask.Response) -> bool:
    if response.location:
        here, there = urlsplit(flask.request.url), urlsplit(response.location)
        return (there.path, there.query) != (here.path, here.query)  # the same by https, or under another name
    is_page = response.status_code == HTTPStatus.OK and response.mimetype == "text/html"
    return is_page or response.status_code == HTTPStatus.UNAUTHORIZED
