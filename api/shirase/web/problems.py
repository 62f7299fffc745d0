"""Errors as problem documents (RFC 9457), independent of the framework."""

import logging
from http import HTTPStatus
from typing import Any

import orjson

from shirase import errors
from shirase.web.call import Call
from shirase.web.http import Response

log = logging.getLogger(__name__)

CONTENT_TYPE = "application/problem+json"
# Conditions that pass without an intervention.
SOON = (HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)

STATUS: dict[type[errors.ShiraseError], int] = {
    errors.Malformed: 400,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.TooSlow: 408,
    errors.KeyInProgress: 409,
    errors.TooLarge: 413,
    errors.UnsupportedMedia: 415,
    errors.Invalid: 422,
    errors.KeyReused: 422,
    errors.TooManyConnections: 429,
    errors.RateLimited: 429,
    errors.ProxyRequired: 501,
    errors.DatabaseUnavailable: 503,
    errors.KeysUnavailable: 503,
}


class HostRefusal(Exception):
    """The host's sign-in refused a request with a response of its framework."""

    def __init__(self, status: int, detail: str, headers: dict[str, str]) -> None:
        """Keep the response."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


def status_of(error: errors.ShiraseError) -> int:
    """The status of an error."""
    return next(code for kind, code in STATUS.items() if isinstance(error, kind))


def fields_of(error: errors.ShiraseError) -> list[dict[str, str]] | None:
    """The invalid fields, if the error has any."""
    if not isinstance(error, errors.Invalid):
        return None
    return [{"field": problem.field, "message": problem.message} for problem in error.errors]


def document(status: int, detail: str, **more: Any) -> bytes:
    """The problem document of an error."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return orjson.dumps(body | {name: value for name, value in more.items() if value is not None})


def problem(status: int, detail: str, **more: Any) -> Response:
    """The response for an error."""
    return Response(document(status, detail, **more), status, CONTENT_TYPE)


def answer(error: Exception, call: Call) -> Response:
    """The response to a call that raised an exception; logs it if it is a defect."""
    if isinstance(error, HostRefusal):
        refused = problem(error.status, error.detail)
        refused.headers.update(error.headers)
        return refused
    if isinstance(error, errors.ShiraseError):
        return _known(error, call)
    # A defect: the log has the traceback, under the request id that the caller receives.
    log.error("request %s failed", call.request_id, exc_info=error)
    detail = "something went wrong here; the log knows it by the request id"
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, detail, request_id=call.request_id)


def _known(error: errors.ShiraseError, call: Call) -> Response:
    status = status_of(error)
    answered = problem(status, str(error), errors=fields_of(error))
    if status == HTTPStatus.UNAUTHORIZED:
        # RFC 6750 section 3: the error attribute is for requests with a token only.
        request = call.request
        sent = "Authorization" in request.headers or call.services.settings.auth_cookie in request.cookies
        sent = sent or not {"ticket", "token"}.isdisjoint(request.args)
        answered.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"' if sent else "Bearer"
    if status in SOON:
        answered.headers["Retry-After"] = str(getattr(error, "retry_after", 1))
    return answered
