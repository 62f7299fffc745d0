"""Bodies of requests in JSON, within bounds of size and time."""

import time
from typing import TypeVar

from pydantic import ValidationError

from shirase.access.tokens import Identity
from shirase.errors import TooLarge, TooSlow, UnsupportedMedia
from shirase.inbox.drafts import Request, invalid
from shirase.web.arrival import StillArriving
from shirase.web.call import current, request
from shirase.web.json_body import MAX_BODY, check_json

PROBLEMS = (400, 408, 413, 415, 422)  # what can be wrong with one
LATE = "the body did not arrive whole in time"

Model = TypeVar("Model", bound=Request)


def require(caller: Identity | None) -> None:
    """Wait until the body has arrived: by a thread, or where the server collects it by ending this attempt.

    Raises:
        UnsupportedMedia: if it is not declared as JSON.
        TooLarge: if it is over its limit, declared or real.
        TooSlow: if it did not arrive whole.
        RateLimited: if as many of the caller's are on their way as may be.
        StillArriving: if the server collects it, and begins again.
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
    """The body of the request that is being answered, which ``require`` has let pass.

    Raises:
        TooSlow: if it did not arrive whole.
        TooLarge: if it is over the limit of its model.
        Malformed: if it is not JSON.
        Invalid: if a field is missing or wrong.
    """
    raw = request().body()
    # Where no length was declared, gunicorn takes the end that its worker makes for the body's own.
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
