"""Errors as problem documents (RFC 9457), for whichever framework answers with them."""

from http import HTTPStatus
from typing import Any

import orjson

from shirase import errors

CONTENT_TYPE = "application/problem+json"
SOON = (HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)  # what passes by itself

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


def status_of(error: errors.ShiraseError) -> int:
    """The status that an error is answered with."""
    return next(code for kind, code in STATUS.items() if isinstance(error, kind))


def fields_of(error: errors.ShiraseError) -> list[dict[str, str]] | None:
    """The fields that are wrong, if that is the error."""
    if not isinstance(error, errors.Invalid):
        return None
    return [{"field": one.field, "message": one.message} for one in error.errors]


def document(status: int, detail: str, **more: Any) -> bytes:
    """The body that says what went wrong."""
    body = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    return orjson.dumps(body | {name: value for name, value in more.items() if value is not None})
