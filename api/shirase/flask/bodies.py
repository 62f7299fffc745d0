"""Bodies of Flask's requests, read within bounds of size and time."""

import time
from typing import TypeVar

from flask import current_app, g, request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import ClientDisconnected

from shirase.errors import TooLarge, TooSlow, UnsupportedMedia
from shirase.inbox.drafts import invalid
from shirase.settings import Settings
from shirase.web.json_body import MAX_BODY, check_json

DISCARDED = 8 * MAX_BODY  # of a body that is refused for its size
PROBLEMS = (400, 408, 413, 415, 422)  # what can be wrong with one

Model = TypeVar("Model", bound=BaseModel)


def read(model: type[Model]) -> Model:
    """The body of the request that is being answered.

    Raises:
        UnsupportedMedia: if it is not said to be JSON.
        TooLarge: if it is over its limit, said or real.
        TooSlow: if it did not arrive whole.
        Malformed: if it is not JSON.
        Invalid: if it is another JSON than wanted.
    """
    if request.mimetype != "application/json":
        raise UnsupportedMedia("send the body as Content-Type: application/json")
    if request.content_length is not None and request.content_length > MAX_BODY:
        _discard(request.content_length)
        raise TooLarge(f"the body must have at most {MAX_BODY} bytes")
    raw = _whole()
    check_json(raw)
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as exc:
        raise invalid(exc) from exc


def _discard(length: int) -> None:
    """Read on without keeping anything: who closes on unread bytes resets, and Pushpin 1.41 makes a 502 of that."""
    left = min(length, DISCARDED)
    while left and (part := request.environ["wsgi.input"].read(min(left, 65_536))):
        left -= len(part)


def _whole() -> bytes:
    late = "the body did not arrive whole in time"
    try:
        raw = request.get_data(cache=True)
    except ClientDisconnected as exc:
        raise TooSlow(late) from exc
    # Where no length was said, gunicorn takes the end that its worker makes for the body's own.
    settings: Settings = current_app.extensions["shirase"].settings
    if time.perf_counter() - g.started > settings.request_timeout:
        raise TooSlow(late)
    return raw
