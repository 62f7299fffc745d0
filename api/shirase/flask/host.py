"""Protects mounted operations from the application's own hooks.

The application's ``before_request`` hooks run before the blueprint's. A redirect to a sign-in page would hit the proxy
too, which has no session, and its streams would stay open without receiving events.
"""

from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import flask

from shirase.errors import Unauthenticated
from shirase.flask.adapter import operation_at, read_request, response_of
from shirase.inbox.services import Services
from shirase.web import problems
from shirase.web.call import Call
from shirase.web.operation import PROXY
from shirase.web.respond import finish

NOT_SIGNED_IN = "nobody has signed in: the application answered this request by itself"


def answer_the_proxy_first(endpoint: str | None, values: dict[str, Any] | None) -> None:
    """Answer the proxy's own requests before the application's hooks run; its signature authenticates them.

    A URL value preprocessor is the only hook that runs that early. It ends a request by raising.
    """
    described = operation_at(endpoint)
    if endpoint and described and described.access == PROXY:
        view = flask.current_app.view_functions[endpoint]
        flask.abort(flask.make_response(view(**(values or {}))))


def refuse_in_json(response: flask.Response) -> flask.Response:
    """Turn a redirect to a sign-in page, or the page itself, into a 401 problem document."""
    if "X-Request-Id" in response.headers or not _asks_to_sign_in(response):
        return response
    services: Services = flask.current_app.extensions["shirase"]
    call = Call(services, read_request())
    answer = problems.answer(Unauthenticated(NOT_SIGNED_IN), call)
    finish(answer, call, "none")
    return response_of(answer)


def _asks_to_sign_in(response: flask.Response) -> bool:
    if response.location:
        # A redirect to the same page over https, or under another host name, is no sign-in.
        source, target = urlsplit(flask.request.url), urlsplit(response.location)
        return (target.path, target.query) != (source.path, source.query)
    is_page = response.status_code == HTTPStatus.OK and response.mimetype == "text/html"
    return is_page or response.status_code == HTTPStatus.UNAUTHORIZED
