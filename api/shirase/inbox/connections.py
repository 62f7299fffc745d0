"""Connections: who may hold a stream, how many of them, and how one is ended.

A row is entered in the transaction of the connect, so that the limit is exact whatever connects at the same instant
and wherever. It is a copy of what the proxy holds: `presence` corrects it, and a row that is missing ends nobody.
"""

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from sqlalchemy import Connection

from shirase import metrics
from shirase.access.tokens import LEEWAY
from shirase.errors import TooManyConnections
from shirase.proxy import sse
from shirase.proxy.publisher import Publisher, closing_items
from shirase.settings import REJECT, Settings
from shirase.store import connections
from shirase.store.connections import GONE, lock_of
from shirase.store.database import Database
from shirase.types import Ended, Position, StreamConnection

CONNECTION_LIMIT = "connection-limit"
REVOKED = "revoked"
TOKEN_EXPIRED = "token-expired"  # noqa: S105 - a reason
RECONNECT = frozenset({TOKEN_EXPIRED})  # the reasons after which a client may come back, with a new token
NEVER = 24 * 3600 * 1000  # milliseconds; a native EventSource knows no other way to be told to stay away
BATCH = 500  # connections ended in one transaction
TOUCHED = timedelta(minutes=5)  # how old ``last_seen`` may get while a stream is seen to be there
_LATEST = 2**33  # Unix time in 2242; a token may name any number


@dataclass(frozen=True, slots=True)
class Status:
    """How many connections there are."""

    of_user: int
    total: int | None  # None for who may not know
    users: int | None


def new(user_id: str, expires_at: int | None, user_agent: str, address: str) -> StreamConnection:
    """A connection that is about to open. Its id tells when its token expires, also when its row is lost."""
    if expires_at is not None and expires_at <= time.time():
        expires_at += LEEWAY  # it is let in that long, and would come back at once
    end = "" if expires_at is None else f"-{min(max(expires_at, 0), _LATEST):x}"
    return named(secrets.token_hex(8) + end, user_id, user_agent, address)


def named(connection_id: str, user_id: str, user_agent: str = "", address: str = "") -> StreamConnection:
    """What is known of a connection by its id."""
    end = re.fullmatch("[0-9a-f]+-([0-9a-f]{1,9})", connection_id)
    expires_at = datetime.fromtimestamp(int(end[1], 16), UTC) if end else None
    return StreamConnection(connection_id, user_id, expires_at, _plain(user_agent, 200), _plain(address, 64))


def admit(db: Connection, settings: Settings, connection: StreamConnection) -> tuple[list[Ended], Position]:
    """Enter a connection.

    The transaction must have the user's lock (``lock_of``); if this raises, it must be rolled back.

    Returns:
        Those that it takes the place of, which are to be told after the commit; and where the user's log stands.

    Raises:
        TooManyConnections: if the user has as many as they may and the policy is to reject one more.
    """
    now = datetime.now(UTC)
    others, position = connections.enter(db, connection, now)
    excess = len(others) + 1 - settings.sse_max_connections_per_user
    if excess > 0 and settings.sse_connection_limit_policy == REJECT:
        metrics.CONNECTS.labels("rejected").inc()
        raise TooManyConnections(f"this user holds {len(others)} streams, as many as are allowed; close one first")
    ended = connections.end(db, others[:excess], CONNECTION_LIMIT, now) if excess > 0 else []
    metrics.ENDED.labels(CONNECTION_LIMIT).inc(len(ended))
    return ended, position


def standing(db: Connection, connection: StreamConnection) -> tuple[str | None, Position]:
    """Why a stream that the proxy asks about must end, ``None`` if it may go on; and where its user's log stands.

    ``GONE`` if its row is missing, was taken for gone or has not been touched for long: ``enter`` it again. A registry
    that was lost ends nobody.
    """
    now = datetime.now(UTC)
    found, position = connections.standing(db, connection, now)
    return _why_ended(connection, *(found or (GONE, now)), now), position


def _why_ended(connection: StreamConnection, reason: str | None, last_seen: datetime, now: datetime) -> str | None:
    if reason not in (None, GONE):
        return reason
    if connection.expires_at and connection.expires_at <= now:
        return TOKEN_EXPIRED
    return GONE if reason or now - last_seen > TOUCHED else None


def enter(database: Database, connection: StreamConnection) -> None:
    """Enter a connection that is held already, whatever the limit."""
    with database.transaction(durable=False) as db:
        connections.add(db, connection, datetime.now(UTC))


def closing(reason: str) -> str:
    """The last event of a stream that the service ends."""
    reconnect = reason in RECONNECT
    data = orjson.dumps({"reason": reason, "reconnect": reconnect}).decode()
    return sse.encode(sse.Event("closing", data, retry=None if reconnect else NEVER))


def tell(database: Database, publisher: Publisher, ended: Sequence[Ended]) -> None:
    """Send connections that were ended their last event, and have every node close them.

    What a node does not accept is left to the relay.
    """
    if not ended:
        return
    items = [item for one in ended for item in closing_items(one.connection_id, closing(one.reason))]
    accepted = publisher.publish(items)
    everywhere = frozenset(publisher.nodes)
    told = [one.connection_id for one, nodes in zip(ended, accepted[1::2], strict=True) if nodes == everywhere]
    if told:
        with database.transaction(durable=False) as db:
            connections.mark_told(db, told, datetime.now(UTC))


def revoke(database: Database, publisher: Publisher, user_id: str) -> int:
    """End all streams of a user; returns how many there were."""
    with database.transaction(lock=lock_of(user_id)) as db:
        ended = connections.end_of_user(db, user_id, REVOKED, datetime.now(UTC))
    metrics.ENDED.labels(REVOKED).inc(len(ended))
    tell(database, publisher, ended)
    return len(ended)


def end_due(database: Database, publisher: Publisher) -> int:
    """End streams whose token has expired, and tell what some node has not heard of yet; returns how many."""
    done = 0
    now = datetime.now(UTC)
    while True:
        with database.autocommit() as db:
            due = connections.expired(db, now, BATCH)
            ended = connections.untold(db, BATCH)
        if due:
            with database.transaction() as db:
                expired = connections.end(db, due, TOKEN_EXPIRED, now)
            metrics.ENDED.labels(TOKEN_EXPIRED).inc(len(expired))
            ended += expired
        tell(database, publisher, ended)
        done += len(due)
        if len(due) < BATCH:
            return done


def status(database: Database, user_id: str, *, with_totals: bool) -> Status:
    """How many connections a user holds, and if wanted how many all hold."""
    with database.autocommit() as db:
        total, users = connections.totals(db) if with_totals else (None, None)
        return Status(connections.count(db, user_id), total, users)


def _plain(text: str, longest: int) -> str:
    """A client's own words, as far as a table can hold and a terminal can show them."""
    return "".join(character for character in text if character.isprintable())[:longest]
