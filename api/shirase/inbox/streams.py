"""Streams: the answers with which a handler has the proxy hold a response open.

Open a stream, continue a long replay, recover what the proxy missed, or long-poll: each answer has the events after a
cursor, and instructions to hold the response there.
"""

import random
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
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
from shirase.store.connections import GONE
from shirase.store.database import Database
from shirase.store.topics import digest
from shirase.types import Position, StreamConnection

PATH = "/api/sse/notifications"
NEXT_PATH = "/api/sse/next"  # the same for all streams, which Grip-Last identifies; hosts prepend their prefix
HOLDS_PATH = f"{NEXT_PATH}/holds"  # of many streams, for a node's standby
DRAIN_PATH = f"{NEXT_PATH}/drain"  # a step of a node's own drain
PAGE = "page"
SHORTEST_HOLD = 5  # seconds for which Pushpin holds a long poll at the least
# Seconds for which the URL of a page is valid. The proxy fetches it at once, and retries for half a minute.
PAGE_TTL = 300
RETRY = (1000, 5000)  # milliseconds; random, so that clients do not all reconnect at once after the loss of a proxy


@dataclass(frozen=True, slots=True)
class Answer:
    """A body, and the instructions to the proxy."""

    body: str
    instructions: grip.Instructions = grip.NOTHING

    def headers(self, method: str) -> Mapping[str, str]:
        """The headers of the instructions, for a response to this method."""
        return self.instructions.headers(method)


@dataclass(frozen=True, slots=True)
class _Stream:
    """One held response, and the path of its next link."""

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
    """Begin a stream after ``cursor``, or at the head without one: ``connected``, then the missed events.

    ``topics`` are those in the user's token; ``None`` if it has no such claim.

    Raises:
        TooManyConnections: if the user is at the limit, and the policy is to reject.
    """
    stream = _Stream(replace(connection, claimed=digest(topics)), next_path)
    logs.bind(connection=seals.connection_name(connection.connection_id))
    try:
        return _begin(database, publisher, settings, stream, cursor, topics)
    except DatabaseUnavailable:
        metrics.CONNECTS.labels("deferred").inc()
        # A native EventSource gives up at any status but 200. So the stream opens empty, and the proxy retries its
        # beginning until the database is back: after 1, 2, 4, 8 and 16 s. Then it ends, and the client reconnects.
        return Answer(": the database is unavailable\n\n", _continue(settings, stream, cursor, begun=False))


def continue_stream(
    database: Database,
    publisher: Publisher,
    settings: Settings,
    sealed: str,
    *,
    next_path: str = NEXT_PATH,
    node: str | None = None,
) -> Answer | None:
    """The next page of a stream; ``None`` if the page's URL is not one of ours, or has expired."""
    page = tokens.unseal(settings, PAGE, sealed)
    if page is None or page["until"] < time.time():
        return None
    connection_id = seals.connection_id(grip.sealing_keys(settings)[0], page["user"], page["connection"])
    connection = connections.named(connection_id, page["user"], page["agent"], page["address"], node)
    stream = _Stream(connection, next_path)
    logs.bind(user=connection.user_id, connection=page["connection"])
    if page["begun"]:
        return _go_on(database, publisher, settings, stream, page["cursor"])
    with database.autocommit() as db:  # the proxy repeats this request if the response was lost
        ended, _ = connections.standing(db, connection)
    if ended not in (None, GONE):
        return _end(ended)
    try:
        return _begin(database, publisher, settings, stream, page["cursor"])
    except TooManyConnections:  # the response has begun, so it is too late for a status
        return _end(connections.CONNECTION_LIMIT)


def recover(
    database: Database,
    publisher: Publisher,
    settings: Settings,
    last: grip.Last,
    *,
    next_path: str = NEXT_PATH,
    node: str | None = None,
) -> Answer:
    """Answer a recovery: what the proxy missed of a stream that it holds, and a new hold."""
    metrics.RECOVERIES.inc()
    logs.bind(user=last.user_id, connection=seals.connection_name(last.connection_id))
    stream = _Stream(connections.named(last.connection_id, last.user_id, node=node), next_path)
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
    """Answer a long poll: missed events at once; without any, hold the response until one is published or the timeout.

    Args:
        database: where the log is.
        settings: the settings.
        user_id: the user.
        cursor: the last event that the client has seen; ``None`` for the head.
        timeout: seconds.
        held: the state of the held poll, if this request is its repeat by the proxy. The proxy repeats a poll when an
            event is published, and once after about a second.
        counted: the connection that the poll counts as while it is held, and the publisher that ends evicted ones.
        at: the position of the user's log, if already read.

    Raises:
        TooManyConnections: if the user is at the limit, or a newer connection has evicted this one.
    """
    metrics.POLLS.inc()
    standing = connections.require_standing(database, counted[1]) if held and counted else None
    if standing == GONE:
        at = None  # read it again, since the connection was entered again
    if held:
        cursor = cursors.encode(database.name, user_id, held.since)
    missed, listed = _read_poll(database, settings, user_id, cursor, at)
    is_counted = held is not None
    if counted and not held and not listed and missed.reached == missed.head:
        position = connections.admit(database, counted[0], settings, counted[1])
        missed, listed = _read_poll(database, settings, user_id, cursor, position)
        is_counted = True
    body = _json({"events": listed, "cursor": cursors.encode(database.name, user_id, missed.reached)})
    wait = grip.Wait(missed.reached, held.until if held else int(time.time()) + timeout)
    rest = min(wait.until - int(time.time()), timeout)
    too_short = (held is not None and rest < SHORTEST_HOLD / 2) or standing == connections.DRAINING
    if listed or missed.reached != missed.head or too_short:
        if is_counted and counted:
            connections.leave(database, counted[1])
        return Answer(body)
    key = grip.sealing_keys(settings)[0]
    connection_id = counted[1].connection_id if counted else None
    return Answer(body, grip.hold_response(user_id, missed.head, wait, rest, key, connection_id))


def elsewhere() -> Answer:
    """The answer to a connect at a node that is being drained: reconnect, which reaches another node."""
    return Answer(f"retry: {random.randint(*RETRY)}\n\n")  # noqa: S311 - spreads reconnects, protects nothing


def _read_poll(
    database: Database, settings: Settings, user_id: str, cursor: str | None, at: Position | None
) -> tuple[Replay, list[dict[str, Any]]]:
    """What a poll missed, and its events as the response lists them."""
    missed = replay.read(database, settings, user_id, cursor, at or replay.position(database, user_id))
    if missed.reset:
        last = cursors.encode(database.name, user_id, missed.head)
        return missed, [{"id": last, "event": "reset", "data": {"reason": missed.reset}}]
    return missed, [entry for event in missed.events if (entry := events.to_poll(database.name, event))]


def _begin(
    database: Database,
    publisher: Publisher,
    settings: Settings,
    stream: _Stream,
    cursor: str | None,
    topics: Collection[str] | None = None,
) -> Answer:
    position = connections.admit(database, publisher, settings, stream.connection)
    position = announcements.arrive(database, publisher, stream.user_id, topics, position, patient=True)
    missed = replay.read(database, settings, stream.user_id, cursor, position)
    metrics.CONNECTS.labels("reset" if missed.reset else "new" if cursor is None else "resumed").inc()
    # Before a reset the cursor is unusable, so that a client that loses the stream before it reads the reset
    # is reset again.
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


def _go_on(database: Database, publisher: Publisher, settings: Settings, stream: _Stream, cursor: str) -> Answer:
    """Continue a stream that has begun, or end it if it must end."""
    with database.autocommit() as db:
        ended, position = connections.standing(db, stream.connection)
    if ended == GONE:
        with suppress(DatabaseReadOnly):
            connections.enter(database, stream.connection, datetime.now(UTC))
        position = replay.position(database, stream.user_id)  # after the commit, as in ``admit``
    elif ended:
        return _end(ended)
    position = announcements.arrive(database, publisher, stream.user_id, None, position, patient=True)
    return _answer(database, settings, stream, replay.read(database, settings, stream.user_id, cursor, position))


def _end(reason: str) -> Answer:
    """The closing event without a hold, so that the proxy ends the stream."""
    return Answer(connections.closing(reason))


def _answer(database: Database, settings: Settings, stream: _Stream, missed: Replay) -> Answer:
    """The events of one page, then the hold or the link to the next page."""
    sent = [event for entry in missed.events if (event := events.to_sse(database.name, entry))]
    if missed.reset:
        cursor = cursors.encode(database.name, stream.user_id, missed.head)
        sent = [sse.Event("reset", _json({"reason": missed.reset}), cursor)]
    body = "".join(map(sse.encode, sent))
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
    """Have the proxy fetch the next page at once.

    Without a hold it sends no Grip-Last, so the page's URL names the stream. No two URLs are equal, so Pushpin does not
    share one page between streams. The URL is signed but readable, so it leaves out the seal of the connection's id.
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
