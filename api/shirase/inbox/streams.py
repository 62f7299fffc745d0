"""Streams: what a handler answers, in milliseconds, so that the proxy keeps a response open.

Open a stream, continue a long replay, recover what the proxy missed, or wait for the next event: four questions with
one answer, the events after a cursor and where to hold.
"""

import random
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import orjson

from shirase import logs, metrics
from shirase.access import tokens
from shirase.errors import DatabaseReadOnly, DatabaseUnavailable, TooManyConnections
from shirase.inbox import announcements, connections, cursors, events, replay
from shirase.inbox.replay import Replay
from shirase.proxy import grip, seals, sse
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store.connections import GONE, lock_of
from shirase.store.database import Database
from shirase.store.topics import digest
from shirase.types import Position, StreamConnection

PATH = "/api/sse/notifications"
NEXT_PATH = "/api/sse/next"  # one for everybody: what it answers is decided by Grip-Last alone. Hosts put theirs before
PAGE = "page"
SHORTEST_HOLD = 5  # seconds that Pushpin holds a long poll at the least, whatever it is told
# Seconds that the address of a page is valid. The proxy fetches it at once, and again for half a minute if that fails.
PAGE_TTL = 300
RETRY = (1000, 5000)  # milliseconds; spread, so that a lost proxy does not bring everyone back at the same instant


@dataclass(frozen=True, slots=True)
class Answer:
    """A body and the instructions that go with it."""

    body: str
    instructions: grip.Instructions = grip.NOTHING

    def headers(self, method: str) -> Mapping[str, str]:
        """The headers that carry the instructions, on the response to a request of that method."""
        return self.instructions.headers(method)


@dataclass(frozen=True, slots=True)
class _Stream:
    """One held response, and where the proxy reads it again."""

    connection: StreamConnection
    next_path: str

    @property
    def user_id(self) -> str:
        return self.connection.user_id


def open_stream(
    database: Database,
    publisher: Publisher,
    settings: Settings,
    connection: StreamConnection,
    cursor: str | None,
    *,
    next_path: str = NEXT_PATH,
    topics: Collection[str] | None = None,
) -> Answer:
    """Begin a stream behind ``cursor``, or at the present without one: ``connected``, then what was missed.

    ``topics`` are those that the user's token names, if it does.

    Raises:
        TooManyConnections: if the user holds as many as they may, and the policy is to reject one more.
    """
    stream = _Stream(replace(connection, claimed=digest(topics)), next_path)
    logs.bind(connection=seals.connection_name(connection.connection_id))
    try:
        return _begin(database, publisher, settings, stream, cursor, topics)
    except DatabaseUnavailable:
        metrics.CONNECTS.labels("deferred").inc()
        # A native EventSource stops for good at any status but 200. So the stream opens, empty, and the proxy asks
        # for its beginning until the database is back: after 1, 2, 4, 8 and 16 s, then it ends and the client returns.
        return Answer(": the database is away\n\n", _continue(settings, stream, cursor, begun=False))


def continue_stream(
    database: Database, publisher: Publisher, settings: Settings, sealed: str, *, next_path: str = NEXT_PATH
) -> Answer | None:
    """The next page of a stream; ``None`` if the page's address is not one that we made, or has expired."""
    page = tokens.unseal(settings, PAGE, sealed)
    if page is None or page["until"] < time.time():
        return None
    connection_id = seals.connection_id(grip.sealing_keys(settings)[0], page["user"], page["connection"])
    connection = connections.named(connection_id, page["user"], page["agent"], page["address"])
    stream = _Stream(connection, next_path)
    logs.bind(user=connection.user_id, connection=page["connection"])
    if page["begun"]:
        return _go_on(database, publisher, settings, stream, page["cursor"])
    with database.autocommit() as db:  # the proxy may repeat this request after its answer was lost
        ended, _ = connections.standing(db, connection)
    if ended not in (None, GONE):
        return _end(ended)
    try:
        return _begin(database, publisher, settings, stream, page["cursor"])
    except TooManyConnections:  # the response has begun: a status cannot say it any more
        return _end(connections.CONNECTION_LIMIT)


def recover(
    database: Database, publisher: Publisher, settings: Settings, last: grip.Last, *, next_path: str = NEXT_PATH
) -> Answer:
    """What the proxy missed of a stream it holds, and the hold anew."""
    metrics.RECOVERIES.inc()
    logs.bind(user=last.user_id, connection=seals.connection_name(last.connection_id))
    stream = _Stream(connections.named(last.connection_id, last.user_id), next_path)
    try:
        return _go_on(database, publisher, settings, stream, cursors.encode(database.name, last.user_id, last.event))
    except DatabaseUnavailable:
        return Answer("", grip.hold_on(last, next_path=next_path, keepalive=settings.sse_keepalive_timeout))


def poll(
    database: Database,
    settings: Settings,
    user_id: str,
    cursor: str | None,
    timeout: int,
    held: grip.Wait | None = None,
    counted: tuple[Publisher, StreamConnection] | None = None,
    at: Position | None = None,
) -> Answer:
    """The long poll: what was missed, at once; or nothing, held until there is something or the time is over.

    ``held`` is the wait that this request is a repeat of: the proxy repeats it whenever there may be news, and once
    after about a second in any case. A poll that is held counts as one of the user's connections, as a stream does;
    ``counted`` has what it is counted as, and what tells others that they must give way. ``at`` is where the user's log
    stands, if that is known.

    Raises:
        TooManyConnections: if the user holds as many as they may, or a newer connection has taken this one's place.
    """
    metrics.POLLS.inc()
    if held and counted:
        connections.require_standing(database, counted[1])
    if held:
        cursor = cursors.encode(database.name, user_id, held.since)
    missed = replay.read(database, settings, user_id, cursor, at or replay.position(database, user_id))
    shown = [entry for event in missed.events if (entry := events.to_poll(database.name, event))]
    if missed.reset:
        shown = [
            {
                "id": cursors.encode(database.name, user_id, missed.head),
                "event": "reset",
                "data": {"reason": missed.reset},
            }
        ]
    body = _json({"events": shown, "cursor": cursors.encode(database.name, user_id, missed.reached)})
    wait = grip.Wait(missed.reached, held.until if held else int(time.time()) + timeout)
    rest = min(wait.until - int(time.time()), timeout)
    too_short = held is not None and rest < SHORTEST_HOLD / 2
    if shown or missed.reached != missed.head or too_short:
        if held and counted:
            connections.leave(database, counted[1])
        return Answer(body)
    if counted and not held:
        _admit(database, counted[0], settings, counted[1])
    key = grip.sealing_keys(settings)[0]
    connection_id = counted[1].connection_id if counted else None
    return Answer(body, grip.hold_response(user_id, missed.head, wait, rest, key, connection_id))


def _begin(
    database: Database,
    publisher: Publisher,
    settings: Settings,
    stream: _Stream,
    cursor: str | None,
    topics: Collection[str] | None = None,
) -> Answer:
    at = _admit(database, publisher, settings, stream.connection)
    at = announcements.arrive(database, publisher, stream.user_id, topics, at, patient=True)
    missed = replay.read(database, settings, stream.user_id, cursor, at)
    metrics.CONNECTS.labels("reset" if missed.reset else "new" if cursor is None else "resumed").inc()
    # After a reset the cursor is one that is good for nothing: a client that loses the stream right here, before it
    # has read the reset, is told to reset again.
    begin = cursors.encode(database.name, stream.user_id, missed.start)
    connected = sse.Event(
        event="connected",
        data=_json(
            {
                "user_id": stream.user_id,
                "status": "connected",
                "connection_id": seals.connection_name(stream.connection.connection_id),
                "unread_count": missed.unread,
                "unseen_count": missed.unseen,
            }
        ),
        id=cursors.unusable(database.name, stream.user_id) if missed.reset else begin,
        retry=random.randint(*RETRY),  # noqa: S311 - spreads reconnects, protects nothing
    )
    answer = _answer(database, settings, stream, missed)
    return Answer(sse.encode(connected) + answer.body, answer.instructions)


def _admit(database: Database, publisher: Publisher, settings: Settings, connection: StreamConnection) -> Position:
    """Count a connection, and end the ones that must give way; where the user's log stands."""
    try:
        with database.transaction(durable=False, lock=lock_of(connection.user_id)) as db:
            ended, at = connections.admit(db, settings, connection)
    except DatabaseReadOnly:  # whom nobody can count may listen all the same
        return replay.position(database, connection.user_id)
    connections.tell(database, publisher, ended)
    return at


def _go_on(database: Database, publisher: Publisher, settings: Settings, stream: _Stream, cursor: str) -> Answer:
    """What follows in a stream that has begun, if it may go on."""
    with database.autocommit() as db:
        ended, at = connections.standing(db, stream.connection)
    if ended == GONE:
        with suppress(DatabaseReadOnly):
            connections.enter(database, stream.connection)
    elif ended:
        return _end(ended)
    at = announcements.arrive(database, publisher, stream.user_id, None, at, patient=True)
    return _answer(database, settings, stream, replay.read(database, settings, stream.user_id, cursor, at))


def _end(reason: str) -> Answer:
    """No hold: the proxy sends this and ends the stream."""
    return Answer(connections.closing(reason))


def _answer(database: Database, settings: Settings, stream: _Stream, missed: Replay) -> Answer:
    """Events up to the page's end, then either the hold or the link to the next page."""
    shown = [event for entry in missed.events if (event := events.to_sse(database.name, entry))]
    if missed.reset:
        cursor = cursors.encode(database.name, stream.user_id, missed.head)
        shown = [sse.Event("reset", _json({"reason": missed.reset}), cursor)]
    body = "".join(map(sse.encode, shown))
    if missed.reached != missed.head:
        cursor = cursors.encode(database.name, stream.user_id, missed.reached)
        return Answer(body, _continue(settings, stream, cursor, begun=True))
    hold = grip.hold_stream(
        stream.user_id,
        stream.connection.connection_id,
        missed.head,
        next_path=stream.next_path,
        keepalive=settings.sse_keepalive_timeout,
        again=settings.sse_resync_interval,
    )
    return Answer(body, hold)


def _continue(settings: Settings, stream: _Stream, cursor: str | None, *, begun: bool) -> grip.Instructions:
    """Have the proxy ask for what follows, at once.

    Without a hold it sends no Grip-Last, so the page's own address says whose it is. As no two are the same, Pushpin
    does not share one page between two streams. Anyone can read a sealed text: the connection's own seal is not in it.
    """
    connection = stream.connection
    page = {
        "user": connection.user_id,
        "connection": seals.connection_name(connection.connection_id),
        "agent": connection.user_agent,
        "address": connection.address,
        "cursor": cursor,
        "begun": begun,
        "until": int(time.time()) + PAGE_TTL,
    }
    return grip.continue_at(f"{stream.next_path}/{tokens.seal(settings, PAGE, page)}")


def _json(value: dict[str, Any]) -> str:
    return sse.unbroken(orjson.dumps(value).decode())
