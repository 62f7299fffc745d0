"""The registry of connections, as handlers use it: the rows of one user or of one connection."""

import hashlib
from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Executable,
    and_,
    bindparam,
    case,
    delete,
    func,
    literal,
    not_,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from shirase.store import log, tables
from shirase.store.sql import among, among_listed, listed, setting
from shirase.store.tables import Moment
from shirase.types import Ended, EventId, Position, StreamConnection

connections = tables.Base.metadata.tables["shirase_connections"]

GONE = "gone"  # the client left; with any other reason the service ended it
_LIVE = connections.c.ended_at.is_(None)
# The same for rows that are named by their ids. No index has this column: PostgreSQL would keep a plan that reads every
# live row by another index, if it was made while there were few.
LIVE_BY_ID = connections.c.reason.is_(None)
_ENDED = (connections.c.connection_id, connections.c.reason, connections.c.node)  # the fields of ``Ended``


def _entering(dialect: str) -> Any:
    now = bindparam("now", type_=Moment())
    names = ("connection_id", "user_id", "node", "expires_at", "user_agent", "address")
    new = [bindparam(f"new_{name}", type_=connections.c[name].type) for name in names]
    # As ``transaction(durable=False)`` does, since in autocommit the statement is its own transaction.
    row = select(*new, now, now).where(true() if dialect == "sqlite" else setting("synchronous_commit", "off"))
    entering = (sqlite if dialect == "sqlite" else postgresql).insert(connections)
    node = func.coalesce(entering.excluded.node, connections.c.node)
    again = {"last_seen": now, "node": node, "ended_at": None, "reason": None, "closing_sent_at": None}
    return entering.from_select([*names, "opened_at", "last_seen"], row).on_conflict_do_update(
        **conflict(dialect), set_=again, where=or_(_LIVE, connections.c.reason == GONE)
    )


def conflict(dialect: str) -> dict[str, Any]:
    """Which rows conflict: those of the same key, which on partitions of PostgreSQL holds the user too."""
    return {"index_elements": ["connection_id"]} if dialect == "sqlite" else {"constraint": "shirase_connections_pkey"}


# Statements of every connect and recovery are built once: building one takes longer than running it.
_ADD = {dialect: _entering(dialect) for dialect in ("sqlite", "postgresql")}
_OF_USER = connections.c.user_id == bindparam("user_id")
_COUNTED = (
    _OF_USER,
    _LIVE,
    # Skip a long poll that has ended at its timeout, but that the relay has not removed yet.
    or_(connections.c.expires_at.is_(None), connections.c.expires_at > bindparam("now", type_=Moment())),
)
_OLDEST_FIRST = (connections.c.opened_at, connections.c.connection_id)
_ADDED = select(select(func.count()).where(*_COUNTED).scalar_subquery(), *log.POSITION).select_from(
    log.SINGLE_ROW.outerjoin(log.streams, log.OF_USER)
)
_ITSELF = and_(
    connections.c.connection_id == bindparam("connection_id"),
    connections.c.user_id.in_([bindparam("user_id"), literal("")]),  # without a user after an erasure
)
_STANDING = select(connections.c.reason, connections.c.last_seen, *log.POSITION).select_from(
    log.SINGLE_ROW.outerjoin(connections, _ITSELF).outerjoin(log.streams, log.OF_USER)
)


def lock_of(user_id: str) -> int:
    """The number of the advisory lock that serialises the counting of a user's connections."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=8, person=b"connections").digest()
    return int.from_bytes(digest, signed=True)


def lock_rows(db: Connection, *conditions: ColumnElement[bool]) -> bool:
    """Lock rows ordered by id, so that no deadlock can occur. Returns whether there are any."""
    query = select(connections.c.connection_id).where(*conditions).order_by(connections.c.connection_id)
    return bool(db.execute(query.with_for_update()).all())


def of_user(db: Connection, user_id: str) -> list[str]:
    """The user's live connections, oldest first."""
    query = select(connections.c.connection_id).where(_OF_USER, _LIVE).order_by(*_OLDEST_FIRST)
    return list(db.scalars(query, {"user_id": user_id}))


def counted(db: Connection, user_id: str, now: datetime) -> list[str]:
    """Those of the user's live connections that count for the limit, oldest first."""
    query = select(connections.c.connection_id).where(*_COUNTED).order_by(*_OLDEST_FIRST)
    return list(db.scalars(query, {"user_id": user_id, "now": now}))


def add(db: Connection, new: StreamConnection, now: datetime) -> None:
    """Add a connection. If its row is marked as gone, revive it; if the service ended it, it stays ended.

    Commit before ``added``, or before reading the log's position for its stream (``store/audience.py``).
    """
    db.execute(_ADD[db.dialect.name], _parameters(new, now))


def added(db: Connection, new: StreamConnection, now: datetime) -> tuple[int, Position]:
    """How many connections count for the limit of this connection's user, and the position of the user's log."""
    parameters = {"user_id": new.user_id, "now": now, "claimed": new.claimed}
    count, *position = db.execute(_ADDED, parameters).one()
    return count, log.read_position(*position)


def remove(db: Connection, connection: StreamConnection) -> None:
    """Delete the live row of a connection that did not open."""
    itself = and_(connections.c.connection_id == connection.connection_id, connections.c.user_id == connection.user_id)
    db.execute(delete(connections).where(itself, _LIVE))


def _parameters(new: StreamConnection, now: datetime) -> dict[str, Any]:
    return {
        "new_connection_id": new.connection_id,
        "new_user_id": new.user_id,
        "new_node": new.node,
        "new_expires_at": new.expires_at,
        "new_user_agent": new.user_agent,
        "new_address": new.address,
        "now": now,
    }


def standing(
    db: Connection, connection: StreamConnection, now: datetime
) -> tuple[tuple[str | None, datetime] | None, Position]:
    """The state of a connection and the position of its user's log, in one round trip for a recovery.

    Returns:
        The reason of its end (``None`` while it is live) and when it was last seen, or ``None`` if there is no row; and
        the position, as ``log.position`` returns it.
    """
    parameters = {"connection_id": connection.connection_id, "user_id": connection.user_id, "now": now, "claimed": None}
    reason, last_seen, *position = db.execute(_STANDING, parameters).one()
    return None if last_seen is None else (reason, last_seen), log.read_position(*position)


def heads(
    db: Connection, connection_ids: Collection[str], seen_since: datetime, now: datetime
) -> dict[str, tuple[str, EventId]]:
    """For each of these connections that may continue: its user, and the head of the user's log.

    Connections that were not seen since ``seen_since`` are left out, and users for whom there may be an announcement.
    """
    dialect = db.dialect.name
    parameters = {"ids": listed(dialect, connection_ids), "claimed": None}
    return {
        row.connection_id: (row.user_id, EventId(row.head, row.tag))
        for row in db.execute(_heads(dialect), parameters)
        if row.head is not None and row.last_seen > seen_since and (row.expires_at is None or row.expires_at > now)
    }


@cache
def _heads(dialect: str) -> Executable:
    own, streams = connections.c, log.streams.c
    # Not a join, whose plan for few rows would read every log.
    of_user = select(case((not_(log.HAS_NEWS), streams.head)).label("head")).where(streams.user_id == own.user_id)
    return select(
        *(own.connection_id, own.user_id, own.last_seen, own.expires_at),
        of_user.scalar_subquery().label("head"),
        of_user.with_only_columns(streams.tag).scalar_subquery().label("tag"),
    ).where(among_listed(dialect, own.connection_id, "ids"), LIVE_BY_ID)


def end(
    db: Connection, connection_ids: Collection[str], reason: str, now: datetime, user_id: str | None = None
) -> list[Ended]:
    """End the live ones of these connections, of one user if that is known; returns them."""
    selected = among(db.dialect.name, connections.c.connection_id, connection_ids)
    if user_id is not None:
        selected &= connections.c.user_id == user_id
    if not lock_rows(db, selected, _LIVE):
        return []
    ending = update(connections).where(selected, _LIVE)
    ending = ending.values(ended_at=now, reason=reason)
    return [Ended(*row) for row in db.execute(ending.returning(*_ENDED))]


def end_of_user(db: Connection, user_id: str, reason: str, now: datetime) -> list[Ended]:
    """End all connections of a user; returns those that were live.

    Connections marked as gone end too, because one that was marked by mistake could come back.
    """
    ended = end(db, of_user(db, user_id), reason, now, user_id)
    marked_gone = and_(connections.c.user_id == user_id, connections.c.reason == GONE)
    if lock_rows(db, marked_gone):
        db.execute(update(connections).where(marked_gone).values(reason=reason))
    return ended


def expired(db: Connection, now: datetime, limit: int) -> list[str]:
    """The live connections whose token has expired."""
    due = select(connections.c.connection_id).where(connections.c.expires_at <= now, _LIVE)
    return list(db.execute(due.order_by(connections.c.expires_at).limit(limit)).scalars())


def unsent_closings(db: Connection, limit: int) -> list[Ended]:
    """Ended connections whose closing not every node has accepted, latest first."""
    query = select(*_ENDED)
    query = query.where(connections.c.ended_at.is_not(None), connections.c.closing_sent_at.is_(None))
    return [Ended(*row) for row in db.execute(query.order_by(connections.c.ended_at.desc()).limit(limit))]


def mark_closings_sent(db: Connection, connection_ids: Collection[str], now: datetime) -> None:
    """Record that every node has accepted the closing of these connections."""
    selected = among(db.dialect.name, connections.c.connection_id, connection_ids)
    db.execute(update(connections).where(selected).values(closing_sent_at=now))


def count(db: Connection, user_id: str) -> int:
    """The number of a user's live connections."""
    return db.execute(select(func.count()).where(connections.c.user_id == user_id, _LIVE)).scalar_one()


def totals(db: Connection) -> tuple[int, int]:
    """The number of live connections, and of the users who have one."""
    query = select(func.count(), func.count(connections.c.user_id.distinct())).where(_LIVE)
    total, users = db.execute(query).one()
    return total, users
