"""What requests and answers look like. The OpenAPI document is made from these same classes."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

from api.records import Content, Draft
from api.tokens import MAX_USER_ID, is_user_id

MAX_PAYLOAD = 16 * 1024  # bytes of JSON


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


UserIdField = Annotated[str, Field(min_length=1, max_length=MAX_USER_ID), AfterValidator(_user_id)]
Type = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._:\-]+$")]
Title = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_text)]
Message = Annotated[str, Field(max_length=4000), AfterValidator(_text)]
Payload = Annotated[dict[str, Any], AfterValidator(_payload)]
NotificationId = Annotated[int, Field(ge=1, le=2**63 - 1)]


class Request(BaseModel):
    """What all requests share: an unknown field is an error, and text is not taken for a number."""

    model_config = ConfigDict(extra="forbid")


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

    notifications: Annotated[list[NewNotification], Field(min_length=1, max_length=1000)]


class NewBroadcast(NewContent):
    """One notification for many users, all or nothing."""

    user_ids: Annotated[list[UserIdField], Field(min_length=1, max_length=10_000)]


class MarkRead(Request):
    """Which notifications were read."""

    ids: Annotated[list[NotificationId], Field(min_length=1, max_length=1000)]


class NotificationView(BaseModel):
    """A stored notification. Times are UTC, RFC 3339."""

    id: int
    user_id: str
    type: str
    title: str
    message: str
    payload: dict[str, Any]
    is_read: bool
    read_at: AwareDatetime | None
    created_at: AwareDatetime
    expires_at: AwareDatetime | None


class BatchView(BaseModel):
    """What a batch created, in its order."""

    notifications: list[NotificationView]


class BroadcastView(BaseModel):
    """How many a broadcast created: one a distinct user."""

    created: int


class PageView(BaseModel):
    """One page of a user's notifications, newest first."""

    notifications: list[NotificationView]
    unread_count: int
    next_before: int | None


class UnreadView(BaseModel):
    """How many are unread."""

    unread_count: int


class UpdatedView(BaseModel):
    """How many changed, and how many are unread now."""

    updated: int
    unread_count: int


class PollEvent(BaseModel):
    """One event, as the stream would carry it."""

    id: str
    event: str
    data: dict[str, Any]


class PollView(BaseModel):
    """What happened after a cursor, and the cursor to ask with next."""

    events: list[PollEvent]
    cursor: str


class PageQuery(Request):
    """Which part of the list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: NotificationId | None = None
    unread: Literal["true", "false"] | None = None
    type: Type | None = None


class PollQuery(Request):
    """Where to begin, and how many seconds to wait."""

    after: Annotated[str, Field(max_length=128)] | None = None
    timeout: Annotated[int, Field(ge=1, le=60)] = 25
    ticket: str | None = None
    token: str | None = None


class StreamQuery(Request):
    """Where to begin. The header ``Last-Event-ID`` comes first."""

    last_event_id: Annotated[str, Field(max_length=1024)] | None = None
    ticket: str | None = None
    token: str | None = None


class TicketView(BaseModel):
    """Permission to open one stream, once."""

    ticket: str
    expires_in: int


class FieldProblem(BaseModel):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] | None = None
    request_id: str | None = None
