"""JSON bodies of requests, bounded in size and time."""

import time
from typing import TypeVar

from pydantic import ValidationError

from shirase.access.tokens import Identity
from shirase.errors import TooLarge, TooSlow, UnsupportedMedia
from shirase.inbox.drafts import Request, invalid
from shirase.web.arrival import StillArriving
from shirase.web.call import current, request
from shirase.web.json_body import MAX_BODY, check_json

PROBLEMS = (400, 408, 413, 415, 422)  # the errors of a body
LATE = "the body did not arrive whole in time"

Model = TypeVar("Model", bound=Request)


def require(caller: Identity | None) -> None:
    """Wait until the body has arrived; or raise ``StillArriving``, if the server collects it.

    Raises:
        UnsupportedMedia: if it is not declared as JSON.
        TooLarge: if its declared or real size is over the limit.
        TooSlow: if it did not arrive completely in time.
        RateLimited: if the caller has as many arriving bodies as allowed.
        StillArriving: if the server collects the body and then processes the request again.
    """
    if request().media_type != "application/json":
        raise UnsupportedMedia("send the body as Content-Type: application/json")
    try:
        request().body()
    except StillArriving as pending:
        if caller:
            pending.claim(caller.user_id)
        raise


def read(model: type[Model]) -> Model:
    """Parse and validate the body of the current request, after ``require``.

    Raises:
        TooSlow: if it did not arrive completely in time.
        TooLarge: if it is over the limit of its model.
        Malformed: if it is not JSON.
        Invalid: if a field is missing or wrong.
    """
    raw = request().body()
    # Without a declared length, gunicorn mistakes the end of input at the timeout for the end of the body.
    call = current.get()
    if time.perf_counter() - call.started > call.services.settings.request_timeout:
        raise TooSlow(LATE)
    if len(raw) > model.longest:
        raise too_large(model.longest)
    check_json(raw)
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as exc:
        raise invalid(exc) from exc


def too_large(limit: int = MAX_BODY) -> TooLarge:
    """The error for a body over the limit."""
    return TooLarge(f"the body must have at most {limit} bytes")
