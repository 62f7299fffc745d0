"""What a reader has missed: the events between its cursor and where the log stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from shirase import metrics
from shirase.inbox import cursors
from shirase.settings import Settings
from shirase.store import log
from shirase.store.database import Database
from shirase.types import Event, Position

EXPIRED = "the cursor is older than what is kept"
FOREIGN = "the cursor is not of this stream"


@dataclass(frozen=True, slots=True)
class Replay:
    """What a reader has missed."""

    start: int  # the seq it begins behind; the head after a reset
    events: Sequence[Event]
    head: int
    unread: int  # the count at ``start``
    reset: str | None = None

    @property
    def reached(self) -> int:
        """The last seq that the reader will have seen."""
        return self.events[-1].seq if self.events else self.start


def position(database: Database, user_id: str) -> Position:
    """Where a user's log stands. Whatever is at or below a head that was read has been committed."""
    with database.autocommit() as db:
        return log.position(db, user_id, datetime.now(UTC))


def read(database: Database, settings: Settings, user_id: str, cursor: str | None, at: Position) -> Replay:
    """What comes after ``cursor``, up to where the log was seen to stand. Every way to the log leads through here."""
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
    here = Replay(at.head, (), at.head, at.unread)
    if cursor is None:
        return here
    seq = cursors.decode(database.name, user_id, cursor)
    if seq is None or seq > at.head:
        return Replay(at.head, (), at.head, at.unread, reset=FOREIGN)
    if seq == at.head:
        return here
    with database.autocommit() as db:
        # The cursor's own event is read too: it tells the count there, and that nothing between was deleted.
        found = log.read_events(db, user_id, seq, at.head, settings.sse_queue_size + 1, now)
    kept = [event.seq for event in found] == list(range(max(seq, 1), max(seq, 1) + len(found)))
    if not found or not kept:
        return Replay(at.head, (), at.head, at.unread, reset=EXPIRED)
    if seq == cursors.START:
        return Replay(seq, found[: settings.sse_queue_size], at.head, 0)
    return Replay(seq, found[1:], at.head, found[0].unread)
