"""Connections: admission within each user's limit, and how the service ends a stream.

A row is added in the transaction of the connect, so the limit is exact however many connect at once on whichever host.
The rows are a copy of what the proxy holds: ``relay.presence`` corrects them, and a missing row ends no stream.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from sqlalchemy import Connection

from shirase import metrics
from shirase.access.tokens import LEEWAY
from shirase.errors import DatabaseReadOnly, TooManyConnections
from shirase.proxy import grip, seals, sse
from shirase.proxy.publisher import Item, Publisher, closing_items
from shirase.settings import REJECT, Settings
from shirase.store import connections, registry
from shirase.store.connections import GONE, lock_of
from shirase.store.database import Database
from shirase.types import Ended, Position, StreamConnection

CONNECTION_LIMIT = "connection-limit"
REVOKED = "revoked"
TOKEN_EXPIRED = "token-expired"  # noqa: S105 - a reason
DRAINING = "draining"  # the node is about to stop
RECONNECT = frozenset({TOKEN_EXPIRED, DRAINING})  # reasons after which a client may reconnect
NEVER = 24 * 3600 * 1000  # milliseconds; the only way to keep a native EventSource from reconnecting
BATCH = 500  # connections ended in one transaction
TOUCHED = timedelta(minutes=5)  # how old ``last_seen`` may get while a stream is open


@dataclass(frozen=True, slots=True)
class Status:
    """The numbers of connections."""

    of_user: int
    total: int | None  # None unless requested
    users: int | None


def new(
    settings: Settings,
    user_id: str,
    expires_at: int | None,
    user_agent: str,
    address: str,
    node: str | None = None,
) -> StreamConnection:
    """A connection that is about to open. Its id contains the token's expiry, which survives the loss of the row."""
    if expires_at is not None and expires_at <= time.time():
        expires_at += LEEWAY  # the token is within the leeway; ended now, the client would reconnect at once
    name = seals.new_connection_name(expires_at)
    connection_id = seals.connection_id(grip.sealing_keys(settings)[0], user_id, name)
    return named(connection_id, user_id, user_agent, address, node)


def named(
    connection_id: str, user_id: str, user_agent: str = "", address: str = "", node: str | None = None
) -> StreamConnection:
    """An open connection, with what its id contains."""
    expires_at = seals.connection_end(connection_id)
    plain = _plain(user_agent, 200), _plain(address, 64)
    return StreamConnection(connection_id, user_id, expires_at, *plain, node=node)


def admit(database: Database, publisher: Publisher, settings: Settings, connection: StreamConnection) -> Position:
    """Add a connection within the user's limit; returns the position of the user's log.

    The row is committed before the user's connections are counted, so of several that connect at once, the last to
    count finds them all. Only beyond the limit they take a lock, to decide one after the other which of them end.

    It is also committed before the log is read: an event that is missing in the position is posted to the connection's
    node (``store/audience.py``).

    Raises:
        TooManyConnections: if the limit is reached and the policy is to reject.
    """
    now = datetime.now(UTC)
    with suppress(DatabaseReadOnly):  # admit the stream without counting it
        enter(database, connection, now)
    with database.autocommit() as db:
        count, position = connections.added(db, connection, now)
    if count > settings.sse_max_connections_per_user:
        with suppress(DatabaseReadOnly):
            _enforce_limit(database, publisher, settings, connection, now)
    return position


def _enforce_limit(
    database: Database, publisher: Publisher, settings: Settings, connection: StreamConnection, now: datetime
) -> None:
    """End the user's oldest connections beyond the limit, or refuse this one."""
    with database.transaction(durable=False, lock=lock_of(connection.user_id)) as db:
        counted = connections.counted(db, connection.user_id, now)
        excess = counted[: max(0, len(counted) - settings.sse_max_connections_per_user)]
        is_refused = bool(excess) and settings.sse_connection_limit_policy == REJECT
        if is_refused:
            connections.remove(db, connection)
        ended = [] if is_refused else connections.end(db, excess, CONNECTION_LIMIT, now, connection.user_id)
    if is_refused:
        metrics.CONNECTS.labels("rejected").inc()
        raise TooManyConnections(f"this user holds {len(counted) - 1} streams, as many as are allowed; close one first")
    metrics.ENDED.labels(CONNECTION_LIMIT).inc(len(ended))
    publish_closings(database, publisher, ended)


def standing(db: Connection, connection: StreamConnection) -> tuple[str | None, Position]:
    """Why a recovering stream must end, or ``None`` if it may continue; and the position of its user's log.

    ``GONE`` means that its row is missing, marked as gone or old: ``enter`` it again. Losing the registry ends no
    stream.
    """
    now = datetime.now(UTC)
    state, position = connections.standing(db, connection, now)
    return _why_ended(connection, *(state or (GONE, now)), now), position


def _why_ended(connection: StreamConnection, reason: str | None, last_seen: datetime, now: datetime) -> str | None:
    if reason not in (None, GONE):
        return reason
    if connection.expires_at and connection.expires_at <= now:
        return TOKEN_EXPIRED
    return GONE if reason or now - last_seen > TOUCHED else None


def enter(database: Database, connection: StreamConnection, now: datetime) -> None:
    """Add a connection, regardless of the limit."""
    with database.transaction(single_statement=True, durable=False) as db:
        connections.add(db, connection, now)


def require_standing(database: Database, connection: StreamConnection) -> str | None:
    """Check that a held long poll may continue.

    Returns:
        ``GONE`` if it was entered again, ``DRAINING`` if it is to be answered now, else ``None``.

    Raises:
        TooManyConnections: if the service has ended it.
    """
    with database.autocommit() as db:
        reason, _ = standing(db, connection)
    if reason in (CONNECTION_LIMIT, REVOKED):
        raise TooManyConnections("this long poll was ended: a newer connection took its place, or it was revoked")
    if reason == GONE:
        with suppress(DatabaseReadOnly):
            enter(database, connection, datetime.now(UTC))
    return reason if reason in (GONE, DRAINING) else None


def leave(database: Database, connection: StreamConnection) -> None:
    """Remove a long poll that is about to be answered, so that the next one does not count beside it."""
    with suppress(DatabaseReadOnly), database.transaction(durable=False) as db:
        registry.departed(db, [connection.connection_id], datetime.now(UTC))


def closing(reason: str) -> str:
    """The last event of a stream that the service ends, encoded."""
    reconnect = reason in RECONNECT
    data = orjson.dumps({"reason": reason, "reconnect": reconnect}).decode()
    return sse.encode(sse.Event("closing", data, retry=None if reconnect else NEVER))


def publish_closings(database: Database, publisher: Publisher, ended: Sequence[Ended]) -> None:
    """Publish the closing of ended connections to the nodes that hold them; to every node where that is unknown.

    The relay repeats it for a node that does not accept it.
    """
    if not ended:
        return
    everywhere = frozenset(publisher.nodes)
    items: list[Item] = []
    targets: list[frozenset[str]] = []
    for connection in ended:
        items += closing_items(connection.connection_id, closing(connection.reason))
        node = connection.node
        targets += [frozenset({node}) if node and publisher.knows(node) else everywhere] * 2
    accepted = publisher.publish(items, targets)
    results = zip(ended, targets[::2], accepted[1::2], strict=True)
    closed = [connection.connection_id for connection, nodes, accepted_by in results if nodes <= accepted_by]
    if closed:
        with database.transaction(durable=False) as db:
            connections.mark_closings_sent(db, closed, datetime.now(UTC))


def revoke(database: Database, publisher: Publisher, user_id: str) -> int:
    """End all streams of a user; returns how many were open."""
    with database.transaction(lock=lock_of(user_id)) as db:
        ended = connections.end_of_user(db, user_id, REVOKED, datetime.now(UTC))
    metrics.ENDED.labels(REVOKED).inc(len(ended))
    publish_closings(database, publisher, ended)
    return len(ended)


def end_due(database: Database, publisher: Publisher) -> int:
    """End streams whose token has expired, and repeat closings that a node did not accept; returns how many ended."""
    done = 0
    now = datetime.now(UTC)
    while True:
        with database.autocommit() as db:
            due = connections.expired(db, now, BATCH)
            ended = connections.unsent_closings(db, BATCH)
        if due:
            with database.transaction() as db:
                expired = connections.end(db, due, TOKEN_EXPIRED, now)
            metrics.ENDED.labels(TOKEN_EXPIRED).inc(len(expired))
            ended += expired
        publish_closings(database, publisher, ended)
        done += len(due)
        if len(due) < BATCH:
            return done


def status(database: Database, user_id: str, *, with_totals: bool) -> Status:
    """The number of a user's connections and, on request, the totals."""
    with database.autocommit() as db:
        total, users = connections.totals(db) if with_totals else (None, None)
        return Status(connections.count(db, user_id), total, users)


def _plain(text: str, longest: int) -> str:
    """Text from a client, cut to the column's size and without characters that a terminal would interpret."""
    return "".join(character for character in text if character.isprintable())[:longest]
