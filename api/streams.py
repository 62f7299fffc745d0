"""Streams: what a handler answers, in milliseconds, so that the proxy keeps a response open.

Open a stream, continue a long replay, recover what the proxy missed, or wait for the next event: four questions with
one answer, the events after a cursor and where to hold.
"""

import random
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from api import cursors, events, grip, sse, tokens
from api.database import Database
from api.records import Event
from api.settings import Settings
from api.store import log

NEXT_PATH = "/api/sse/next"  # one for everybody: what it answers is decided by Grip-Last alone
PAGE = "page"
RETRY = (1000, 5000)  # milliseconds; spread, so that a lost proxy does not bring everyone back at the same instant

EXPIRED = "the cursor is older than what is kept"
FOREIGN = "the cursor is not of this stream"


@dataclass(frozen=True, slots=True)
class Answer:
    """A body and the instructions that go with it."""

    body: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Replay:
    """What a reader has missed."""

    start: int  # the seq it begins behind; the head after a reset
    events: Sequence[Event]
    head: int
    unread: int  # the count at ``start``
    reset: str | None = None

    @property
    def reached(self) -> int:
        return self.events[-1].seq if self.events else self.start


def open_stream(database: Database, settings: Settings, user_id: str, cursor: str | None) -> Answer:
    """Begin a stream behind ``cursor``, or at the present without one: ``connected``, then what was missed."""
    replay = _replay(database, settings, user_id, cursor)
    connection_id = secrets.token_hex(8)
    # After a reset the cursor is one that is good for nothing: a client that loses the stream right here, before it
    # has read the reset, is told to reset again.
    name = database.name
    begin = cursors.unusable(name, user_id) if replay.reset else cursors.encode(name, user_id, replay.start)
    connected = sse.Event(
        event="connected",
        data=_json(
            {
                "user_id": user_id,
                "status": "connected",
                "connection_id": connection_id,
                "unread_count": replay.unread,
            }
        ),
        id=begin,
        retry=random.randint(*RETRY),  # noqa: S311 - spreads reconnects, protects nothing
    )
    answer = _answer(database, settings, user_id, connection_id, replay)
    return Answer(sse.encode(connected) + answer.body, answer.headers)


def continue_stream(database: Database, settings: Settings, sealed: str) -> Answer | None:
    """The next page of a long replay; ``None`` if the page's name is not one that we gave."""
    page = tokens.unseal(settings, PAGE, sealed)
    if page is None:
        return None
    return _catch_up(database, settings, str(page["user"]), str(page["connection"]), int(page["seq"]))


def recover(database: Database, settings: Settings, last: grip.Last) -> Answer:
    """What the proxy missed of a stream it holds, and the hold anew."""
    return _catch_up(database, settings, last.user_id, last.connection_id, last.seq)


def poll(database: Database, settings: Settings, user_id: str, cursor: str | None, timeout: int) -> Answer:
    """The long poll: what was missed, at once; or nothing, held until there is something or the time is over."""
    replay = _replay(database, settings, user_id, cursor)
    shown = [entry for event in replay.events if (entry := events.to_poll(database.name, event))]
    if replay.reset:
        shown = [
            {"id": cursors.encode(database.name, user_id, replay.head), "event": "reset", "data": {"reason": replay.reset}}
        ]
    body = _json({"events": shown, "cursor": cursors.encode(database.name, user_id, replay.reached)})
    if shown or replay.reached < replay.head:
        return Answer(body, {})
    return Answer(body, grip.hold_response(user_id, replay.head, timeout))


def _catch_up(database: Database, settings: Settings, user_id: str, connection_id: str, seq: int) -> Answer:
    cursor = cursors.encode(database.name, user_id, seq)
    replay = _replay(database, settings, user_id, cursor)
    return _answer(database, settings, user_id, connection_id, replay)


def _answer(database: Database, settings: Settings, user_id: str, connection_id: str, replay: _Replay) -> Answer:
    """Events up to the page's end, then either the hold or the link to the next page."""
    shown = [event for entry in replay.events if (event := events.to_sse(database.name, entry))]
    if replay.reset:
        cursor = cursors.encode(database.name, user_id, replay.head)
        shown = [sse.Event("reset", _json({"reason": replay.reset}), cursor)]
    body = "".join(map(sse.encode, shown))
    if replay.reached < replay.head:
        # Without a hold the proxy sends no Grip-Last, so the page's own name says whose it is. Its uniqueness also
        # keeps Pushpin from sharing one page between two streams.
        place: dict[str, str | int] = {"user": user_id, "connection": connection_id, "seq": replay.reached}
        return Answer(body, grip.continue_at(f"{NEXT_PATH}/{tokens.seal(settings, PAGE, place)}"))
    hold = grip.hold_stream(user_id, connection_id, replay.head, next_path=NEXT_PATH, settings=settings)
    return Answer(body, hold)


def _replay(database: Database, settings: Settings, user_id: str, cursor: str | None) -> _Replay:
    now = datetime.now(UTC)
    with database.read() as session:
        # The head first: whatever is at or below a head that was read has been committed.
        at = log.position(session, user_id, now)
        here = _Replay(at.head, (), at.head, at.unread)
        if cursor is None:
            return here
        seq = cursors.decode(database.name, user_id, cursor)
        if seq is None or seq > at.head:
            return _Replay(at.head, (), at.head, at.unread, reset=FOREIGN)
        if seq == at.head:
            return here
        # The cursor's own event is read too: it tells the count there, and that nothing between was deleted.
        found = log.read_events(session, user_id, seq, at.head, settings.sse_queue_size + 1, now)
    kept = [event.seq for event in found] == list(range(max(seq, 1), max(seq, 1) + len(found)))
    if not found or not kept:
        return _Replay(at.head, (), at.head, at.unread, reset=EXPIRED)
    if seq == cursors.START:
        return _Replay(seq, found[: settings.sse_queue_size], at.head, 0)
    return _Replay(seq, found[1:], at.head, found[0].unread)


def _json(value: dict[str, Any]) -> str:
    return orjson.dumps(value).decode()
