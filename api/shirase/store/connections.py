"""The registry of connections, as a handler reads and writes it: the rows of one user, or of one connection."""

import hashlib
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from shirase.store import log, tables
from shirase.store.sql import among
from shirase.store.tables import Moment
from shirase.types import Ended, Position, StreamConnection

connections = tables.Base.metadata.tables["shirase_connections"]

GONE = "gone"  # the client left; with any other reason the service ended it
_LIVE = connections.c.ended_at.is_(None)


def _entering(dialect: str) -> Any:
    now = bindparam("now", type_=Moment())
    again = {"last_seen": now, "node": None, "ended_at": None, "reason": None, "told_at": None}
    names = ("connection_id", "user_id", "expires_at", "user_agent", "address")
    entering = (sqlite if dialect == "sqlite" else postgresql).insert(connections)
    entering = entering.values(
        {
            **{name: bindparam(f"new_{name}", type_=connections.c[name].type) for name in names},
            "opened_at": now,
            "last_seen": now,
        }
    )
    return entering.on_conflict_do_update(
        index_elements=["connection_id"], set_=again, where=or_(_LIVE, connections.c.reason == GONE)
    )


# Built once: every connect and every recovery runs them, and building one takes longer than running it.
_OF_USER = (
    select(connections.c.connection_id)
    .where(connections.c.user_id == bindparam("new_user_id"), _LIVE)
    .order_by(connections.c.opened_at, connections.c.connection_id)
)
_OTHERS = _OF_USER.where(
    connections.c.connection_id != bindparam("new_connection_id"),
    # A long poll that has just ended at its timeout, before the relay has noticed.
    or_(connections.c.expires_at.is_(None), connections.c.expires_at > bindparam("now", type_=Moment())),
)
_ADD = {dialect: _entering(dialect) for dialect in ("sqlite", "postgresql")}
_ENTER = (  # one round trip; SQLite cannot write in a CTE
    select(func.array(_OTHERS.scalar_subquery()), *log.POSITION)
    .select_from(log.ONE.outerjoin(log.streams, log.OF_USER))
    .add_cte(_ADD["postgresql"].cte("entering"))
)
_ITSELF = connections.c.connection_id == bindparam("connection_id")
_STANDING = select(connections.c.reason, connections.c.last_seen, *log.POSITION).select_from(
    log.ONE.outerjoin(connections, _ITSELF).outerjoin(log.streams, log.OF_USER)
)


def lock_of(user_id: str) -> int:
    """The number of the advisory lock under which a user's connections are counted."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=8, person=b"connections").digest()
    return int.from_bytes(digest, signed=True)


def lock_rows(db: Connection, *which: ColumnElement[bool]) -> bool:
    """Lock the rows that are about to change, always in the same order, so that no deadlock can occur."""
    wanted = select(connections.c.connection_id).where(*which).order_by(connections.c.connection_id)
    return bool(db.execute(wanted.with_for_update()).all())


def of_user(db: Connection, user_id: str) -> list[str]:
    """The user's live connections, oldest first."""
    return list(db.execute(_OF_USER, {"new_user_id": user_id}).scalars())


def enter(db: Connection, new: StreamConnection, now: datetime) -> tuple[list[str], Position]:
    """Add a connection, as ``add`` does.

    Returns:
        The user's other live connections, oldest first, and where the user's log stands.
    """
    given = {**_given(new, now), "user_id": new.user_id, "claimed": new.claimed}
    if db.dialect.name == "postgresql":
        others, *at = db.execute(_ENTER, given).one()
        return others, log.read_position(*at)
    add(db, new, now)
    return list(db.scalars(_OTHERS, given)), log.position(db, new.user_id, now, new.claimed)


def add(db: Connection, new: StreamConnection, now: datetime) -> None:
    """Add a connection. One that was marked as gone is live again; one that the service ended stays ended."""
    db.execute(_ADD[db.dialect.name], _given(new, now))


def _given(new: StreamConnection, now: datetime) -> dict[str, Any]:
    return {
        "new_connection_id": new.connection_id,
        "new_user_id": new.user_id,
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
    given = {"connection_id": connection.connection_id, "user_id": connection.user_id, "now": now, "claimed": None}
    reason, last_seen, *at = db.execute(_STANDING, given).one()
    return None if last_seen is None else (reason, last_seen), log.read_position(*at)


def end(db: Connection, connection_ids: Collection[str], reason: str, now: datetime) -> list[Ended]:
    """End those of the connections that are live; returns them."""
    these = among(db.dialect.name, connections.c.connection_id, connection_ids)
    if not lock_rows(db, these, _LIVE):
        return []
    ending = update(connections).where(these, _LIVE)
    ended = db.execute(ending.values(ended_at=now, reason=reason).returning(connections.c.connection_id))
    return [Ended(connection_id, reason) for connection_id in ended.scalars()]


def end_of_user(db: Connection, user_id: str, reason: str, now: datetime) -> list[Ended]:
    """End all connections of a user; returns those that were live.

    One that was wrongly marked as gone could come back, so these end too.
    """
    ended = end(db, of_user(db, user_id), reason, now)
    left = and_(connections.c.user_id == user_id, connections.c.reason == GONE)
    if lock_rows(db, left):
        db.execute(update(connections).where(left).values(reason=reason))
    return ended


def expired(db: Connection, now: datetime, limit: int) -> list[str]:
    """The live connections whose token has expired."""
    due = select(connections.c.connection_id).where(connections.c.expires_at <= now, _LIVE)
    return list(db.execute(due.order_by(connections.c.expires_at).limit(limit)).scalars())


def untold(db: Connection, limit: int) -> list[Ended]:
    """Ended connections whose closing some node may not have accepted, the latest first."""
    wanted = select(connections.c.connection_id, connections.c.reason)
    wanted = wanted.where(connections.c.ended_at.is_not(None), connections.c.told_at.is_(None))
    return [Ended(*row) for row in db.execute(wanted.order_by(connections.c.ended_at.desc()).limit(limit))]


def mark_told(db: Connection, connection_ids: Collection[str], now: datetime) -> None:
    """Record that every node has accepted the closing of these."""
    these = among(db.dialect.name, connections.c.connection_id, connection_ids)
    db.execute(update(connections).where(these).values(told_at=now))


def count(db: Connection, user_id: str) -> int:
    """How many connections a user holds."""
    return db.execute(select(func.count()).where(connections.c.user_id == user_id, _LIVE)).scalar_one()


def totals(db: Connection) -> tuple[int, int]:
    """How many connections there are, and how many users hold them."""
    wanted = select(func.count(), func.count(connections.c.user_id.distinct())).where(_LIVE)
    total, users = db.execute(wanted).one()
    return total, users
