"""The values that the layers exchange: immutable, independent of rows and requests.

Those that a batch makes by the thousand are tuples, which take a third of a frozen dataclass's time to make.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Self

from shirase.fields import Content
from shirase.quiet_hours import QuietHours

NOTIFICATION = "notification"
READ = "read"
DELETED = "deleted"
UPDATED = "updated"
UNREAD = "unread"
ARCHIVED = "archived"
UNARCHIVED = "unarchived"
SEEN = "seen"
PREFERENCES = "preferences"

EVERYONE = "everyone"  # the topic that every user has
LARGEST_ID = 2**63 - 1  # the largest that the database can store


class Draft(NamedTuple):
    """A notification to store; one with a key replaces the user's present notification of that key."""

    user_id: str
    content: Content
    fold: bool = False  # add to the count of the present one while that is unread
    quiet: bool = False  # keep the state of the present one, and its position
    announcement_id: int | None = None  # the announcement that it comes from
    created_at: datetime | None = None  # of the announcement; else now


class Notification(NamedTuple):
    """A stored notification."""

    id: int
    user_id: str
    content: Content
    created_at: datetime
    read_at: datetime | None = None
    archived_at: datetime | None = None
    position: int = 0  # in the list, highest first
    revision: int = 1
    updated_at: datetime | None = None  # the time of the last change of content, if any
    count: int = 1  # type: ignore[assignment]  # hides the method of tuples
    actors: str | None = None  # the latest actors folded into it, as JSON
    announcement_id: int | None = None  # the announcement that it came from
    is_seen: bool = False


class EventId(NamedTuple):
    """Identifies one event of a user's log, in cursors and for the proxy.

    A log that goes back in time, because a backup was restored or a failover lost its end, reuses numbers. The random
    tags distinguish the new event 8 from the old one.
    """

    seq: int
    tag: str

    def __str__(self) -> str:
        """``8.0a1b2c``; before the first event ``0``."""
        return f"{self.seq}.{self.tag}" if self.seq else "0"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Parse the text of an event id; ``None`` if it is not one."""
        match = _EVENT_ID.fullmatch(text)
        return cls(int(match["seq"] or 0), match["tag"] or "") if match else None


_EVENT_ID = re.compile(r"0|(?P<seq>[1-9][0-9]{0,17})\.(?P<tag>[0-9a-f]{6})")
START = EventId(0, "")  # before a log's first event


class Event(NamedTuple):
    """One entry of a user's log.

    A ``notification`` or ``updated`` event lacks its ``notification`` if that was deleted or has expired since, or if a
    later event updates it again. Such an event keeps its place in the order, but is not sent.
    """

    user_id: str
    id: EventId
    previous: EventId  # the one before it in the log
    kind: str
    unread: int  # the count after this event
    created_at: datetime
    data: str | None = None
    notification: Notification | None = None
    unseen: int = 0  # the count after this event

    @property
    def seq(self) -> int:
        """The event's number in its user's log."""
        return self.id.seq


class Stored(NamedTuple):
    """The result of a draft: the notification, and the appended events; none if nothing changed."""

    notification: Notification | None  # None: its user has muted it, and nothing was stored
    events: tuple[Event, ...]
    is_new: bool


@dataclass(frozen=True, slots=True)
class Announcement:
    """A notification for everyone of a topic, and how many users it has reached."""

    id: int
    topic: str
    draft: Draft  # without a user
    created_at: datetime
    for_newcomers: bool = False  # also for users who appear, or join the topic, later
    spread_at: datetime | None = None  # the time when every connected user had it
    reached: int = 0
    read: int = 0


PUBLISH = "publish"  # the ways to the proxy
RELAY = "relay"


class Published(NamedTuple):
    """How an event left the outbox."""

    nodes: frozenset[str]  # that accepted it
    attempts: int = 1
    needed: bool = True  # whether its user had a stream


@dataclass(frozen=True, slots=True)
class Trace:
    """The history of a notification."""

    id: int
    user_id: str
    seq: int
    type: str
    created_at: datetime
    expires_at: datetime | None
    read_at: datetime | None
    read_by: str | None  # user agent
    announcement_id: int | None  # of the announcement that it was, if any
    committed_at: datetime | None
    published_at: datetime | None
    way: str | None
    attempts: int | None  # of that way
    nodes: tuple[str, ...]  # nodes that accepted it
    connections: int | None  # that the user had open then
    waiting: tuple[str, ...]  # nodes that missed events of this user and have got no hint yet
    deliveries: tuple["Delivery", ...]  # to channels outside the inbox
    omitted: tuple[tuple[str, bool], ...]  # channels of the policy without one, and whether they are switched off now
    webhooks: tuple["WebhookStep", ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A user's rule for one channel; of those that match, the one with the narrowest scope applies."""

    scope: str  # a type, a category, or ``*`` for everything
    channel: str
    enabled: bool
    until: datetime | None = None  # when it is over


@dataclass(frozen=True, slots=True)
class Preferences:
    """A user's preferences: which channels, and at which times."""

    rules: tuple[Rule, ...] = ()
    quiet: QuietHours | None = None


# States of a delivery.
PENDING = "pending"
SENT = "sent"
SKIPPED = "skipped"  # there was nobody to send it to, or it was not needed
CANCELLED = "cancelled"  # the notification was read, archived, removed, muted or replaced, or has expired
DEAD = "dead"  # it failed or waited for a day, or was refused for good

EXPIRED, REPLACED = "expired", "replaced"  # reasons of a cancelled delivery
HELD = "quiet hours"  # the reason of a pending delivery that waits for their end


@dataclass(frozen=True, slots=True)
class Delivery:
    """A notification on its way to one channel outside the inbox."""

    id: int
    tag: str
    user_id: str
    notification_id: int
    channel: str
    target: str | None  # one of several addresses, named by the channel
    unless: str | None
    state: str
    created_at: datetime
    due_at: datetime
    claimed_until: datetime | None
    attempts: int  # including one that is being made
    tried_at: datetime | None  # the first time
    ended_at: datetime | None
    reason: str | None
    bundle: str | None = None  # deliveries of one user with the same one are sent as one

    @property
    def uid(self) -> str:
        """Its id for the outside, the same at each attempt."""
        return f"{self.id}-{self.tag}"


@dataclass(frozen=True, slots=True)
class WebhookStep:
    """One event of a notification, for one webhook."""

    name: str  # the webhook's
    kind: str
    happened_at: datetime
    state: str  # waiting, paused, or done: accepted, or not needed any more
    uid: str | None = None  # its id for the outside while it waits, as the next ones
    attempts: int = 0  # of the webhook, that failed since the last success
    reason: str | None = None
    next_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeliveryOutcome:
    """What becomes of a claimed delivery."""

    state: str
    reason: str | None = None  # without addresses or secrets
    due_at: datetime | None = None  # of the next attempt, if it stays pending
    counts: bool = True  # as an attempt


@dataclass(frozen=True, slots=True)
class Position:
    """The position of a user's log: its head and counts."""

    head: int
    unread: int
    tag: str = ""  # of the event at the head
    unseen: int = 0
    has_news: bool = False  # there may be an announcement for the user that is not in the log yet
    is_known: bool = True  # the user has a log, though it may be empty

    @property
    def last(self) -> EventId:
        """The event at the head."""
        return EventId(self.head, self.tag)


@dataclass(frozen=True, slots=True)
class StreamConnection:
    """One held response and its user."""

    connection_id: str
    user_id: str
    expires_at: datetime | None = None  # of the token that opened it
    user_agent: str = ""
    address: str = ""
    claimed: str | None = None  # digest of the topics in the token, if it has the claim
    node: str | None = None  # that holds it; None if the request did not name it


@dataclass(frozen=True, slots=True)
class Ended:
    """A connection that the service ends, why, and the node that holds it; ``None`` if that is unknown."""

    connection_id: str
    reason: str
    node: str | None = None
