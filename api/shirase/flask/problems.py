"""Every error, as ``application/problem+json`` (RFC 9457). How Flask answers with ``shirase.web.problems``."""

import logging
from http import HTTPStatus
from typing import Any

from flask import Blueprint, Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from shirase import errors
from shirase.settings import Settings
from shirase.web import problems

log = logging.getLogger(__name__)


def register(routes: Flask | Blueprint) -> None:
    """Answer every error in one form: those of the whole application, or those of a blueprint's routes alone."""
    routes.register_error_handler(errors.ShiraseError, _known)
    routes.register_error_handler(HTTPException, _http)
    routes.register_error_handler(Exception, _crash)


def problem(status: int, detail: str, **more: Any) -> Response:
    """An answer that says what went wrong."""
    return Response(problems.document(status, detail, **more), status, content_type=problems.CONTENT_TYPE)


def _known(error: errors.ShiraseError) -> Response:
    status = problems.status_of(error)
    answer = problem(status, str(error), errors=problems.fields_of(error))
    if status == HTTPStatus.UNAUTHORIZED:
        # RFC 6750 section 3: the error attribute only where a token was sent.
        sent = "Authorization" in request.headers or {"ticket", "token"} & request.args.keys() or _has_cookie()
        answer.headers["WWW-Authenticate"] = 'Bearer error="invalid_token"' if sent else "Bearer"
    if status in problems.SOON:
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
    name = g.get("request_id")  # none if an application that mounted us failed before we were asked
    log.error("request %s failed", name, exc_info=error)
    return problem(500, "something went wrong here; the log knows it by the request id", request_id=name)
