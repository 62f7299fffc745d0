"""What requests and answers look like. The OpenAPI document is made from these same classes."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    create_model,
    model_validator,
)

from shirase.fields import FIELDS, NO_NUL, Actor, Category, Type, no_nul
from shirase.inbox.drafts import (
    MemberChange,
    NewAnnouncement,
    NewBatch,
    NewBroadcast,
    NewKeyed,
    NewNotification,
    Request,
    UserIdField,
)
from shirase.types import LARGEST_ID

__all__ = [
    "MemberChange",
    "NewAnnouncement",
    "NewBatch",
    "NewBroadcast",
    "NewKeyed",
    "NewNotification",
]  # described with the others

CACHE_BUSTER = re.compile(r"_\w*|cb|ts?|timestamp|rand(om)?|no_?cache|cache_?bust(er)?", re.IGNORECASE)


def _whole(value: Any) -> Any:
    """JSON has one kind of number: ``3.0`` is an integer there, as JSON Schema reads it too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


NotificationId = Annotated[int, Field(ge=1, le=LARGEST_ID), BeforeValidator(_whole)]


class SomeIds(Request):
    """Which notifications."""

    longest = 64 * 1024  # to take apart what any user may send costs more than to read it

    ids: Annotated[list[NotificationId], Field(min_length=1, max_length=1000)]

    def distinct(self) -> list[int]:
        """Each of them once."""
        return sorted(set(self.ids))


_Declared: Any = create_model(
    "_Declared",
    **{name: (field.annotation, ...) for name, field in FIELDS.items()},  # type: ignore[call-overload]
)


class NotificationView(_Declared):  # type: ignore[misc]
    """A stored notification. Times are UTC, RFC 3339."""

    id: int
    user_id: str
    position: Annotated[int, Field(description="Its place in the list, which begins with the highest.")]
    revision: Annotated[int, Field(description="1, and one more at each change of content.")]
    count: Annotated[int, Field(description="How many were folded into it.")]
    actors: Annotated[list[Actor], Field(description="The latest three actors, newest first.")]
    is_read: bool
    is_seen: bool
    read_at: AwareDatetime | None
    archived_at: AwareDatetime | None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class ScheduledView(BaseModel):
    """A notification that waits for its time."""

    scheduled_id: int
    send_at: AwareDatetime


class ScheduledNotificationView(_Declared, ScheduledView):  # type: ignore[misc]
    """What waits for its time, whole."""

    user_id: Annotated[str | None, Field(description="Null for an announcement.")]
    topic: Annotated[str | None, Field(description="Of an announcement.")]
    for_newcomers: bool
    created_at: AwareDatetime
    fold: bool
    quiet: bool


class ScheduledListView(BaseModel):
    """What a producer has scheduled."""

    scheduled: list[ScheduledNotificationView]
    next_after: int | None


class AnnouncementView(_Declared):  # type: ignore[misc]
    """An announcement, and how many users it has reached."""

    id: int
    topic: str
    for_newcomers: bool
    fold: bool
    quiet: bool
    created_at: AwareDatetime
    reached: Annotated[int, Field(description="How many users have got it.")]
    read: Annotated[int, Field(description="How many of them have read it.")]


class AnnouncementDetailView(AnnouncementView):
    """The same, and whether it is still on its way to open streams."""

    waiting: Annotated[int, Field(description="Connected users for whom it was not considered yet.")]


class AnnouncementsView(BaseModel):
    """One page of the announcements, the latest first."""

    announcements: list[AnnouncementView]
    next_before: int | None


class MembersChangedView(BaseModel):
    """How many users joined a topic, and how many left it."""

    added: int
    removed: int


class MembersView(BaseModel):
    """One page of a topic's members, in the order of their ids."""

    members: list[str]
    next_after: str | None


class CountsView(BaseModel):
    """How many are unread, and how many unseen."""

    unread_count: int
    unseen_count: int
    by_category: Annotated[dict[str, int], Field(description="Unread, of each category that has any.")]


class UnseenView(BaseModel):
    """How many are unseen."""

    unseen_count: int


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
    cursor: Annotated[str, Field(description="A stream behind it tells all that happens after this answer.")]


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


class TraceView(BaseModel):
    """What became of a notification; nothing of what it says."""

    id: int
    user_id: str
    type: str
    seq: int
    created_at: str
    expires_at: str | None
    committed_at: str | None
    published_at: str | None
    way: Literal["publish", "relay"] | None
    attempts: int | None
    nodes: list[str]
    connections: int | None
    waiting_nodes: list[str]
    read_at: str | None
    read_by: str | None


class OpenQuery(BaseModel):
    """Parameters of a stream's address. Unknown ones are ignored: polyfills and trackers add their own."""

    model_config = ConfigDict(extra="ignore")


class Query(Request):
    """Parameters of an address. An unknown one is an error, as it may be a filter that was misspelled."""

    @model_validator(mode="before")
    @classmethod
    def _without_cache_busters(cls, given: dict[str, str]) -> dict[str, str]:
        """Libraries append ``_=1700000000000`` and the like, so that no cache answers."""
        return {name: value for name, value in given.items() if not CACHE_BUSTER.fullmatch(name)}


class PageQuery(Query):
    """Which part of the list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: NotificationId | None = None
    unread: Literal["true", "false"] | None = None
    type: Type | None = None
    category: Category | None = None
    archived: Literal["true", "false"] | None = None
    q: Annotated[str, Field(min_length=1, max_length=200, json_schema_extra=NO_NUL), AfterValidator(no_nul)] | None = (
        None
    )


class RetractQuery(Query):
    """Whose; everyone's without it."""

    user_id: UserIdField | None = None


class ScheduledQuery(Query):
    """Which part of the list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    after: NotificationId | None = None


class AnnouncementsQuery(Query):
    """Which part of the announcements."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: NotificationId | None = None


class MembersQuery(Query):
    """Which part of the members."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 1000
    after: UserIdField | None = None


class PollQuery(OpenQuery):
    """Where to begin, and how many seconds to wait."""

    after: Annotated[str, Field(max_length=128)] | None = None
    timeout: Annotated[int, Field(ge=1, le=60)] = 25
    ticket: str | None = None
    token: str | None = None


class StreamQuery(OpenQuery):
    """Where to begin. The header ``Last-Event-ID`` comes first; ``lastEventId`` is the polyfills' name for the same."""

    last_event_id: Annotated[str, Field(max_length=1024)] | None = None
    lastEventId: Annotated[str, Field(max_length=1024)] | None = None  # noqa: N815 - as it is sent

    @property
    def cursor(self) -> str | None:
        """The one that is there."""
        return self.last_event_id or self.lastEventId

    ticket: str | None = None
    token: str | None = None


class TicketView(BaseModel):
    """Permission to open one stream, once."""

    ticket: str
    expires_in: int


class ConnectionsQuery(Query):
    """Whose streams."""

    user_id: UserIdField


class StatusView(BaseModel):
    """How many streams are open."""

    user_connections: int
    total_connections: int | None
    active_users: int | None
    status: Literal["active", "inactive"]


class ClosedView(BaseModel):
    """How many streams were ended."""

    closed: int


class ErasingView(BaseModel):
    """An erasure that the relay continues."""

    user_id: str
    status: Literal["erasing"]


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
