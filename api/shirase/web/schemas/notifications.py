"""Notifications, the inbox and schedules."""

from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, RootModel

from shirase.fields import NO_NUL, Actor, Category, Type, no_nul
from shirase.inbox.drafts import Request, UserIdField
from shirase.web.schemas.base import DeclaredFields, NotificationId, Query


class SomeIds(Request):
    """The ids of notifications."""

    longest = 64 * 1024  # parsing costs more than reading, and any user may send this

    ids: Annotated[list[NotificationId], Field(min_length=1, max_length=1000)]

    def distinct(self) -> list[int]:
        """The ids without repeats."""
        return sorted(set(self.ids))


class NotificationView(DeclaredFields):  # type: ignore[misc]
    """A stored notification. Times are UTC, RFC 3339."""

    id: int
    user_id: str
    position: Annotated[int, Field(description="Its place in the list, which begins with the highest.")]
    revision: Annotated[int, Field(description="Begins at 1, and rises by one at each change of content.")]
    count: Annotated[int, Field(description="The number of notifications folded into it.")]
    actors: Annotated[list[Actor], Field(description="The latest three actors, newest first.")]
    is_read: bool
    is_seen: bool
    read_at: AwareDatetime | None
    archived_at: AwareDatetime | None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class MutedView(BaseModel):
    """Replaces a notification that its user has muted: nothing was stored."""

    muted: Literal[True]


class StoredView(RootModel[NotificationView | MutedView]):
    """A notification, or that its user has muted it."""


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


class PageView(BaseModel):
    """One page of a user's notifications, newest first."""

    notifications: list[NotificationView]
    unread_count: int
    next_before: int | None
    cursor: Annotated[str, Field(description="A stream resumed at it delivers everything after this answer.")]


class CountsView(BaseModel):
    """How many are unread, and how many unseen."""

    unread_count: int
    unseen_count: int
    by_category: Annotated[dict[str, int], Field(description="Unread, of each category that has any.")]


class UnreadView(BaseModel):
    """How many are unread."""

    unread_count: int


class UnseenView(BaseModel):
    """How many are unseen."""

    unseen_count: int


class UpdatedView(BaseModel):
    """How many changed, and how many are unread now."""

    updated: int
    unread_count: int


class BatchView(BaseModel):
    """The notifications that a batch created, in its order."""

    notifications: list[NotificationView | MutedView]


class BroadcastView(BaseModel):
    """How many a broadcast created: one a distinct user, without those who have muted it."""

    created: int


class RetractQuery(Query):
    """The user; without it, every user."""

    user_id: UserIdField | None = None


class ScheduledQuery(Query):
    """Which part of the list."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    after: NotificationId | None = None


class ScheduledView(BaseModel):
    """A notification that waits for its time."""

    scheduled_id: int
    send_at: AwareDatetime


class ScheduledNotificationView(DeclaredFields, ScheduledView):  # type: ignore[misc]
    """A notification that waits for its time, with its content."""

    user_id: Annotated[str | None, Field(description="Null for an announcement.")]
    topic: Annotated[str | None, Field(description="Of an announcement.")]
    for_newcomers: bool
    created_at: AwareDatetime
    fold: bool
    quiet: bool


class ScheduledListView(BaseModel):
    """A producer's scheduled notifications."""

    scheduled: list[ScheduledNotificationView]
    next_after: int | None


class DeliveryView(BaseModel):
    """A delivery to a channel outside the inbox."""

    id: Annotated[str, Field(description="The same at each attempt.")]
    channel: str
    state: Literal["pending", "sent", "skipped", "cancelled", "dead"]
    attempts: int
    reason: Annotated[str | None, Field(description="The reason of the latest failure, or of its end.")]
    created_at: str
    due_at: Annotated[str, Field(description="The time of the next attempt, or of the last.")]
    tried_at: Annotated[str | None, Field(description="The time of the first attempt.")]
    ended_at: str | None


class OmittedView(BaseModel):
    """A channel of the type's policy without a delivery of this notification."""

    channel: str
    reason: Annotated[
        Literal["muted", "not_planned"],
        Field(
            description="`muted`: the user's preferences do not allow it now. `not_planned`: they did not, or the"
            " policy did not name it, when the notification was created."
        ),
    ]


class WebhookStepView(BaseModel):
    """An event of a notification for a webhook."""

    name: str
    event: Literal["created", "updated"]
    happened_at: str
    state: Annotated[
        Literal["waiting", "paused", "done"],
        Field(description="`done` is what left the queue: accepted, or not needed any more."),
    ]
    id: Annotated[str | None, Field(description="The `webhook-id` of what waits.")]
    attempts: Annotated[int, Field(description="Of the webhook, that failed since its last success.")]
    reason: Annotated[str | None, Field(description="Of the latest failure.")]
    next_attempt_at: str | None


class TraceView(BaseModel):
    """The history of a notification, without its content."""

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
    deliveries: list[DeliveryView]
    omitted: list[OmittedView]
    webhooks: list[WebhookStepView]
    announcement_id: int | None
