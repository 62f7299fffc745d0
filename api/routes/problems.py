"""Every error, as ``application/problem+json`` (RFC 9457). The one place where errors become HTTP."""

import logging
from http import HTTPStatus
from typing import Any

import orjson
from flask import Blueprint, Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from api import errors
from api.settings import Settings

log = logging.getLogger(__name__)

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
    errors.DatabaseAway: 503,
    errors.KeysAway: 503,
}


def register(routes: Flask | Blueprint) -> None:
    """Answer every error in one form: those of the whole application, or those of a blueprint's routes alone."""
    routes.register_error_handler(errors.ShiraseError, _known)
    routes.register_error_handler(HTTPException, _http)
    routes.register_error_handler(Exception, _crash)


def problem(status: int, detail: str, **more: Any) -> Response:
    """An answer that says what went wrong."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body |= {name: value for name, value in more.items() if value is not None}
    return Response(orjson.dumps(body), status, content_type="application/problem+json")


def _known(error: errors.ShiraseError) -> Response:
    status = next(code for kind, code in STATUS.items() if isinstance(error, kind))
    fields = None
    if isinstance(error, errors.Invalid):
        fields = [{"field": one.field, "message": one.message} for one in error.errors]
    answer = problem(status, str(error), errors=fields)
    if status == HTTPStatus.UNAUTHORIZED:
        # RFC 6750 section 3: the error attribute only where a token was sent.
        sent = "Authorization" in request.headers or {"ticket", "token"} & request.args.keys() or _has_cookie()
        answer.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"' if sent else "Bearer"
    if status in (HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        answer.headers["Retry-After"] = str(getattr(error, "retry_after", 1))
    return answer


def _has_cookie() -> bool:
    settings: Settings = current_app.extensions["shirase"].settings
    return settings.auth_cookie in request.cookies


def _http(error: HTTPException) -> Response:
    """What Flask refuses by itself: an unknown path, a wrong method, a body that is too large."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    answer = problem(status, error.description or HTTPStatus(status).phrase)
    for name, value in error.get_headers():
        if name.lower() not in ("content-type", "content-length"):
            answer.headers[name] = value
    return answer


def _crash(error: Exception) -> Response:
    """A defect: the log gets the traceback, the caller the id to find it by."""
    log.error("request %s failed", g.request_id, exc_info=error)
    return problem(500, "something went wrong here; the log knows it by the request id", request_id=g.request_id)
