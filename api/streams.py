"""Streams: what a handler answers, in milliseconds, so that the proxy keeps a response open.

Open a stream, continue a long replay, recover what the proxy missed, or wait for the next event: four questions with
one answer, the events after a cursor and where to hold.
"""

import random
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from api import cursors, events, grip, logs, metrics, sse, tokens
from api.database import Database
from api.errors import DatabaseAway
from api.records import Event
from api.settings import Settings
from api.store import log

NEXT_PATH = "/api/sse/next"  # one for everybody: what it answers is decided by Grip-Last alone. Hosts put theirs before
PAGE = "page"
SHORTEST_HOLD = 5  # seconds that Pushpin holds a long poll at the least, whatever it is told
RETRY = (1000, 5000)  # milliseconds; spread, so that a lost proxy does not bring everyone back at the same instant

EXPIRED = "the cursor is older than what is kept"
FOREIGN = "the cursor is not of this stream"


@dataclass(frozen=True, slots=True)
class Answer:
    """A body and the instructions that go with it."""

    body: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Stream:
    """One held response, and whose it is."""

    user_id: str
    connection_id: str
    next_path: str  # where the proxy reads it again


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


def open_stream(
    database: Database, settings: Settings, user_id: str, cursor: str | None, *, next_path: str = NEXT_PATH
) -> Answer:
    """Begin a stream behind ``cursor``, or at the present without one: ``connected``, then what was missed."""
    stream = _Stream(user_id, secrets.token_hex(8), next_path)
    logs.know(connection=stream.connection_id)
    try:
        return _begin(database, settings, stream, cursor)
    except DatabaseAway:
        metrics.CONNECTS.labels("deferred").inc()
        # A native EventSource stops for good at any status but 200. So the stream opens, empty, and the proxy asks
        # for its beginning until the database is back: after 1, 2, 4, 8 and 16 s, then it ends and the client returns.
        return Answer(": the database is away\n\n", _continue(settings, stream, cursor, begun=False))


def continue_stream(
    database: Database, settings: Settings, sealed: str, *, next_path: str = NEXT_PATH
) -> Answer | None:
    """The next page of a stream; ``None`` if the page's name is not one that we gave."""
    page = tokens.unseal(settings, PAGE, sealed)
    if page is None:
        return None
    stream = _Stream(page["user"], page["connection"], next_path)
    logs.know(user=stream.user_id, connection=stream.connection_id)
    if not page["begun"]:
        return _begin(database, settings, stream, page["cursor"])
    return _answer(database, settings, stream, _replay(database, settings, stream.user_id, page["cursor"]))


def recover(database: Database, settings: Settings, last: grip.Last, *, next_path: str = NEXT_PATH) -> Answer:
    """What the proxy missed of a stream it holds, and the hold anew."""
    metrics.RECOVERIES.inc()
    logs.know(user=last.user_id, connection=last.connection_id)
    cursor = cursors.encode(database.name, last.user_id, last.seq)
    replay = _replay(database, settings, last.user_id, cursor)
    return _answer(database, settings, _Stream(last.user_id, last.connection_id, next_path), replay)


def poll(
    database: Database,
    settings: Settings,
    user_id: str,
    cursor: str | None,
    timeout: int,
    held: grip.Wait | None = None,
) -> Answer:
    """The long poll: what was missed, at once; or nothing, held until there is something or the time is over.

    ``held`` is the wait that this request is a repeat of: the proxy repeats it whenever there may be news, and once
    after about a second in any case.
    """
    metrics.POLLS.inc()
    if held:
        cursor = cursors.encode(database.name, user_id, held.since)
    replay = _replay(database, settings, user_id, cursor)
    shown = [entry for event in replay.events if (entry := events.to_poll(database.name, event))]
    if replay.reset:
        shown = [
            {
                "id": cursors.encode(database.name, user_id, replay.head),
                "event": "reset",
                "data": {"reason": replay.reset},
            }
        ]
    body = _json({"events": shown, "cursor": cursors.encode(database.name, user_id, replay.reached)})
    wait = grip.Wait(replay.reached, held.until if held else int(time.time()) + timeout)
    rest = min(wait.until - int(time.time()), timeout)
    too_short = held is not None and rest < SHORTEST_HOLD / 2
    if shown or replay.reached < replay.head or too_short:
        return Answer(body, {})
    return Answer(body, grip.hold_response(user_id, replay.head, wait, rest))


def _begin(database: Database, settings: Settings, stream: _Stream, cursor: str | None) -> Answer:
    replay = _replay(database, settings, stream.user_id, cursor)
    metrics.CONNECTS.labels("reset" if replay.reset else "new" if cursor is None else "resumed").inc()
    # After a reset the cursor is one that is good for nothing: a client that loses the stream right here, before it
    # has read the reset, is told to reset again.
    begin = cursors.encode(database.name, stream.user_id, replay.start)
    connected = sse.Event(
        event="connected",
        data=_json(
            {
                "user_id": stream.user_id,
                "status": "connected",
                "connection_id": stream.connection_id,
                "unread_count": replay.unread,
            }
        ),
        id=cursors.unusable(database.name, stream.user_id) if replay.reset else begin,
        retry=random.randint(*RETRY),  # noqa: S311 - spreads reconnects, protects nothing
    )
    answer = _answer(database, settings, stream, replay)
    return Answer(sse.encode(connected) + answer.body, answer.headers)


def _answer(database: Database, settings: Settings, stream: _Stream, replay: _Replay) -> Answer:
    """Events up to the page's end, then either the hold or the link to the next page."""
    shown = [event for entry in replay.events if (event := events.to_sse(database.name, entry))]
    if replay.reset:
        cursor = cursors.encode(database.name, stream.user_id, replay.head)
        shown = [sse.Event("reset", _json({"reason": replay.reset}), cursor)]
    body = "".join(map(sse.encode, shown))
    if replay.reached < replay.head:
        cursor = cursors.encode(database.name, stream.user_id, replay.reached)
        return Answer(body, _continue(settings, stream, cursor, begun=True))
    hold = grip.hold_stream(
        stream.user_id, stream.connection_id, replay.head, next_path=stream.next_path, settings=settings
    )
    return Answer(body, hold)


def _continue(settings: Settings, stream: _Stream, cursor: str | None, *, begun: bool) -> dict[str, str]:
    """Have the proxy ask for what follows, at once.

    Without a hold it sends no Grip-Last, so the page's own name says whose it is. The name's uniqueness also keeps
    Pushpin from sharing one page between two streams.
    """
    page = {"user": stream.user_id, "connection": stream.connection_id, "cursor": cursor, "begun": begun}
    return grip.continue_at(f"{stream.next_path}/{tokens.seal(settings, PAGE, page)}")


def _replay(database: Database, settings: Settings, user_id: str, cursor: str | None) -> _Replay:
    """What was missed, counted: every way to the log leads through here."""
    now = datetime.now(UTC)
    replay = _read_missed(database, settings, user_id, cursor, now)
    if replay.reset:
        metrics.RESETS.inc()
    if replay.events:
        metrics.REPLAYED.inc(len(replay.events))
        metrics.observe_ages("replay", (event.created_at for event in replay.events), now)
    return replay


def _read_missed(database: Database, settings: Settings, user_id: str, cursor: str | None, now: datetime) -> _Replay:
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
