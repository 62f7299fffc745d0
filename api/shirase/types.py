"""What passes between the layers: frozen values, no rows, no requests."""

from dataclasses import dataclass
from datetime import datetime

from shirase.fields import Content

NOTIFICATION = "notification"
READ = "read"
DELETED = "deleted"

LARGEST_ID = 2**63 - 1  # that a database can look for


@dataclass(frozen=True, slots=True)
class Draft:
    """A notification that is not stored yet."""

    user_id: str
    content: Content


@dataclass(frozen=True, slots=True)
class Notification:
    """A stored notification."""

    id: int
    user_id: str
    content: Content
    created_at: datetime
    read_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a user's log.

    A ``notification`` event whose notification was deleted or has expired since has neither ``notification`` nor
    ``data``: it keeps its place in the order and says nothing any more.
    """

    user_id: str
    seq: int
    kind: str
    unread: int  # the count after this event
    created_at: datetime
    data: str | None = None
    notification: Notification | None = None


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


@dataclass(frozen=True, slots=True)
class StreamConnection:
    """One held response, and whose it is."""

    connection_id: str
    user_id: str
    expires_at: datetime | None = None  # the end of the token that opened it
    user_agent: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Ended:
    """A connection that the service ends, and why."""

    connection_id: str
    reason: str
