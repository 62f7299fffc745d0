"""What passes between the layers: frozen values, no rows, no requests."""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple, Self

from shirase.fields import Content

NOTIFICATION = "notification"
READ = "read"
DELETED = "deleted"
UPDATED = "updated"
UNREAD = "unread"
ARCHIVED = "archived"
UNARCHIVED = "unarchived"
SEEN = "seen"

EVERYONE = "everyone"  # the topic that every user has
LARGEST_ID = 2**63 - 1  # that a database can look for


@dataclass(frozen=True, slots=True)
class Draft:
    """A notification to store; one with a key replaces the user's present notification of that key."""

    user_id: str
    content: Content
    fold: bool = False  # count it to the present one while that is unread
    quiet: bool = False  # leave the present one read, and where it is in the list
    announcement_id: int | None = None  # that it is taken over from
    created_at: datetime | None = None  # if not now: when it was announced


@dataclass(frozen=True, slots=True)
class Notification:
    """A stored notification."""

    id: int
    user_id: str
    content: Content
    created_at: datetime
    read_at: datetime | None = None
    archived_at: datetime | None = None
    position: int = 0  # in the list, whose beginning has the highest
    revision: int = 1
    updated_at: datetime | None = None  # when the content last changed, if it did
    count: int = 1
    actors: str | None = None  # the latest that were folded into it, as JSON
    announcement_id: int | None = None  # that it was taken over from
    is_seen: bool = False


class EventId(NamedTuple):
    """Names one event of a user's log, in cursors and to the proxy.

    A log that goes back in time, because a backup was restored or a failover lost its end, uses numbers again. Their
    tags, which are random, then tell that this 8 is not that 8.
    """

    seq: int
    tag: str

    def __str__(self) -> str:
        """``8.0a1b2c``; before the first event ``0``."""
        return f"{self.seq}.{self.tag}" if self.seq else "0"

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """Read that again; ``None`` if it is anything else."""
        match = _EVENT_ID.fullmatch(text)
        return cls(int(match["seq"] or 0), match["tag"] or "") if match else None


_EVENT_ID = re.compile(r"0|(?P<seq>[1-9][0-9]{0,17})\.(?P<tag>[0-9a-f]{6})")
START = EventId(0, "")  # before a log's first event


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a user's log.

    A ``notification`` or ``updated`` event has no ``notification`` if that was deleted or has expired since, or if a
    later event updates it again: it keeps its place in the order and is not sent.
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


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a draft: the notification, and the events that tell its user; none if nothing changed."""

    notification: Notification
    events: tuple[Event, ...]
    is_new: bool


@dataclass(frozen=True, slots=True)
class Announcement:
    """A notification for everyone of a topic, and how many users it has reached."""

    id: int
    topic: str
    draft: Draft  # whose user is nobody
    created_at: datetime
    for_newcomers: bool = False  # also for users who appear, or get the topic, later
    spread_at: datetime | None = None  # when everyone who was connected had it
    reached: int = 0
    read: int = 0


PUBLISH = "publish"  # the ways to the proxy
RELAY = "relay"


@dataclass(frozen=True, slots=True)
class Published:
    """An event that some node has accepted."""

    event: Event
    nodes: frozenset[str]
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Trace:
    """What became of a notification."""

    id: int
    user_id: str
    seq: int
    type: str
    created_at: datetime
    expires_at: datetime | None
    read_at: datetime | None
    read_by: str | None  # user agent
    committed_at: datetime | None
    published_at: datetime | None
    way: str | None
    attempts: int | None  # by that way
    nodes: tuple[str, ...]  # that accepted it
    connections: int | None  # that the user held then
    waiting: tuple[str, ...]  # that missed something of this user and have not been told yet


@dataclass(frozen=True, slots=True)
class Position:
    """Where a user's log stands."""

    head: int
    unread: int
    tag: str = ""  # of the event at the head
    unseen: int = 0
    has_news: bool = False  # an announcement may concern the user that is not in the log yet
    is_known: bool = True  # the user has a log, though it may be empty

    @property
    def last(self) -> EventId:
        """The event at the head."""
        return EventId(self.head, self.tag)


@dataclass(frozen=True, slots=True)
class StreamConnection:
    """One held response, and whose it is."""

    connection_id: str
    user_id: str
    expires_at: datetime | None = None  # the end of the token that opened it
    user_agent: str = ""
    address: str = ""
    claimed: str | None = None  # digest of the topics that the token names, if it names any


@dataclass(frozen=True, slots=True)
class Ended:
    """A connection that the service ends, and why."""

    connection_id: str
    reason: str
