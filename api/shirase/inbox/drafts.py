"""What a producer may say, over HTTP or from a host's own code: each field's limits, and how a wrong one is named."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from shirase.access.tokens import MAX_USER_ID, is_user_id
from shirase.errors import FieldError, Invalid
from shirase.types import Content, Draft

MAX_PAYLOAD = 16 * 1024  # bytes of JSON
MAX_BATCH = 1000
MAX_BROADCAST = 10_000


def _user_id(value: str) -> str:
    if not is_user_id(value):
        raise ValueError("must not have control characters")
    return value


def _text(value: str) -> str:
    if "\x00" in value:  # PostgreSQL cannot store it
        raise ValueError("must not have the character NUL")
    return value


def _payload(value: dict[str, Any]) -> dict[str, Any]:
    try:
        text = orjson.dumps(value)
    except TypeError as exc:  # deeper than the encoder goes, or an integer of more than 64 bits
        raise ValueError("must be a JSON object of moderate depth and numbers") from exc
    if len(text) > MAX_PAYLOAD:
        raise ValueError(f"must have at most {MAX_PAYLOAD} bytes as JSON")
    if b"\\u0000" in text.replace(b"\\\\", b""):
        raise ValueError("must not have the character NUL")
    return value


def _future(value: datetime) -> datetime:
    try:
        moment = value.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("must be a time before the year 10000") from exc
    if moment <= datetime.now(UTC):
        raise ValueError("must be in the future")
    return moment


# The patterns are for readers of the OpenAPI document; the validators are what holds.
NO_CONTROL = {"pattern": "^[^\\u0000-\\u001f\\u007f-\\u009f]*$"}
NO_NUL = {"pattern": "^[^\\u0000]*$"}

UserIdField = Annotated[
    str, Field(min_length=1, max_length=MAX_USER_ID, json_schema_extra=NO_CONTROL), AfterValidator(_user_id)
]
Type = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:\-]+$")]
Title = Annotated[str, Field(min_length=1, max_length=200, json_schema_extra=NO_NUL), AfterValidator(_text)]
Message = Annotated[str, Field(max_length=4000, json_schema_extra=NO_NUL), AfterValidator(_text)]
Payload = Annotated[dict[str, Any], AfterValidator(_payload)]


class Request(BaseModel):
    """What all requests share: an unknown field is an error, and text is not taken for a number."""

    model_config = ConfigDict(extra="forbid")


R = TypeVar("R", bound=Request)


class NewContent(Request):
    """What a producer says."""

    type: Type
    title: Title
    message: Message
    payload: Payload = {}
    expires_at: Annotated[AwareDatetime, AfterValidator(_future)] | None = None

    def content(self) -> Content:
        """The same for the layers below."""
        return Content(self.type, self.title, self.message, orjson.dumps(self.payload).decode(), self.expires_at)


class NewNotification(NewContent):
    """A notification to create."""

    user_id: UserIdField

    def draft(self) -> Draft:
        """The same for the layers below."""
        return Draft(self.user_id, self.content())


class NewBatch(Request):
    """Several notifications to create, all or nothing."""

    notifications: Annotated[list[NewNotification], Field(min_length=1, max_length=MAX_BATCH)]

    def drafts(self) -> list[Draft]:
        """The same for the layers below."""
        return [one.draft() for one in self.notifications]


class NewBroadcast(NewContent):
    """One notification for many users, all or nothing."""

    user_ids: Annotated[list[UserIdField], Field(min_length=1, max_length=MAX_BROADCAST)]

    def drafts(self) -> list[Draft]:
        """The same for the layers below: one a distinct user, all with the one content."""
        content = self.content()
        return [Draft(user_id, content) for user_id in dict.fromkeys(self.user_ids)]


def check(model: type[R], fields: Mapping[str, Any]) -> R:
    """Read what a host's own code says.

    Raises:
        Invalid: with every field that is wrong.
    """
    try:
        return model.model_validate(fields, strict=True)
    except ValidationError as exc:
        raise invalid(exc) from exc


def invalid(error: ValidationError) -> Invalid:
    """What is wrong with which field, as users are told."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return Invalid(*(FieldError(_path(one["loc"]), one["msg"].removeprefix("Value error, ")) for one in found[:100]))


def _path(location: tuple[int | str, ...]) -> str:
    """``("notifications", 3, "title")`` as ``notifications[3].title``."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location)
    return text.removeprefix(".") or "(body)"
