"""Replay: the events between a reader's cursor and the head of the log."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from shirase import metrics
from shirase.inbox import cursors
from shirase.settings import Settings
from shirase.store import log
from shirase.store.database import Database
from shirase.types import START, Event, EventId, Position

EXPIRED = "the cursor is older than what is kept"
FOREIGN = "the cursor is not of this stream"
REWOUND = "the log has gone back in time: what was shown may never have been"


@dataclass(frozen=True, slots=True)
class Replay:
    """The events that a reader has missed."""

    start: EventId  # the replay begins after this event; after a reset it is the head
    events: Sequence[Event]
    head: EventId
    unread: int  # the counts at ``start``
    unseen: int
    reset: str | None = None

    @property
    def reached(self) -> EventId:
        """The last event that the reader will have seen."""
        return self.events[-1].id if self.events else self.start


def position(database: Database, user_id: str, claimed: str | None = None) -> Position:
    """The position of a user's log. Every event up to the head that it reports has been committed."""
    with database.autocommit() as db:
        return log.position(db, user_id, datetime.now(UTC), claimed)


def read(database: Database, settings: Settings, user_id: str, cursor: str | None, at: Position) -> Replay:
    """Read the events after ``cursor`` up to the position ``at``. Every reader of the log uses this function."""
    now = datetime.now(UTC)
    replay = _read(database, settings, user_id, cursor, at, now)
    if replay.reset:
        metrics.RESETS.inc()
    if replay.events:
        metrics.REPLAYED.inc(len(replay.events))
        metrics.observe_ages("replay", (event.created_at for event in replay.events), now)
    return replay


def _read(
    database: Database, settings: Settings, user_id: str, cursor: str | None, at: Position, now: datetime
) -> Replay:
    present = Replay(at.last, (), at.last, at.unread, at.unseen)
    seen = at.last if cursor is None else cursors.decode(database.name, user_id, cursor)
    if seen is None:
        return replace(present, reset=FOREIGN)
    if seen == at.last:
        return present
    with database.autocommit() as db:
        # The cursor's own event is read too, for its count and to prove that the log still continues from it.
        events = log.read_events(db, user_id, seen.seq, at.head, settings.sse_queue_size + 1, now)
    reset = _reason_to_reset(seen, at, events)
    if reset:
        return replace(present, reset=reset)
    if seen == START:
        return Replay(seen, events[: settings.sse_queue_size], at.last, 0, 0)
    return Replay(seen, events[1:], at.last, events[0].unread, events[0].unseen)


def _reason_to_reset(seen: EventId, at: Position, events: Sequence[Event]) -> str | None:
    """Why a reader at ``seen`` must reset, by the events ``found`` there; ``None`` if it can continue."""
    own = events[0].id if events and events[0].seq == seen.seq else seen
    if seen.seq >= at.head or seen != own:
        return REWOUND
    first = max(seen.seq, 1)
    is_complete = bool(events) and [event.seq for event in events] == list(range(first, first + len(events)))
    return None if is_complete else EXPIRED
