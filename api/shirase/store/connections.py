"""Who is connected, as a handler asks and says it: the rows of one user, or of one connection."""

import hashlib
from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, bindparam, func, literal, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from shirase.store import log, tables
from shirase.store.sql import among
from shirase.store.tables import Moment
from shirase.types import Ended, Position, StreamConnection

connections = tables.Base.metadata.tables["shirase_connections"]

GONE = "gone"  # the reason of one that left by itself; any other is ours
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


# Built once, as every connect and every recovery runs them: to build one takes longer than to run it.
_OF_USER = (
    select(connections.c.connection_id)
    .where(connections.c.user_id == bindparam("new_user_id"), _LIVE)
    .order_by(connections.c.opened_at, connections.c.connection_id)
)
_OTHERS = _OF_USER.where(connections.c.connection_id != bindparam("new_connection_id"))
_ADD = {dialect: _entering(dialect) for dialect in ("sqlite", "postgresql")}
_ONE = select(literal(1).label("one")).subquery()  # a row, whether or not there is one of what is joined to it
_LOG = log.streams.c.user_id == bindparam("user_id")
_ENTER = (  # in one round trip, which SQLite has no way for
    select(func.array(_OTHERS.scalar_subquery()), *log.POSITION)
    .select_from(_ONE.outerjoin(log.streams, _LOG))
    .add_cte(_ADD["postgresql"].cte("entering"))
)
_STANDING = select(connections.c.reason, connections.c.last_seen, *log.POSITION).select_from(
    _ONE.outerjoin(connections, connections.c.connection_id == bindparam("connection_id")).outerjoin(log.streams, _LOG)
)


def lock_of(user_id: str) -> int:
    """The lock of a transaction that counts this user's connections."""
    digest = hashlib.blake2b(user_id.encode(), digest_size=8, person=b"connections").digest()
    return int.from_bytes(digest, signed=True)


def lock_rows(db: Connection, *which: ColumnElement[bool]) -> bool:
    """Lock rows that are about to change, all in one order, so that nobody waits for another in a circle."""
    wanted = select(connections.c.connection_id).where(*which).order_by(connections.c.connection_id)
    return bool(db.execute(wanted.with_for_update()).all())


def of_user(db: Connection, user_id: str) -> list[str]:
    """The user's live connections, oldest first."""
    return list(db.execute(_OF_USER, {"new_user_id": user_id}).scalars())


def enter(db: Connection, new: StreamConnection, now: datetime) -> tuple[list[str], Position]:
    """Enter a connection, as ``add`` does.

    Returns:
        The user's other live connections, oldest first, and where the user's log stands.
    """
    given = {**_given(new, now), "user_id": new.user_id}
    if db.dialect.name == "postgresql":
        others, head, unread = db.execute(_ENTER, given).one()
        return others, Position(head or 0, unread or 0)
    add(db, new, now)
    return list(db.scalars(_OTHERS, given)), log.position(db, new.user_id, now)


def add(db: Connection, new: StreamConnection, now: datetime) -> None:
    """Enter a connection; one that left by mistake is live again, and one that we ended stays ended."""
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
    """What every recovery asks, at once: how a connection stands, and where its user's log does.

    Returns:
        Why it has ended, ``None`` while it is live, and when it was last seen; ``None`` if it is unknown. And the
        position, as ``log.position`` gives it.
    """
    given = {"connection_id": connection.connection_id, "user_id": connection.user_id, "now": now}
    reason, last_seen, head, unread = db.execute(_STANDING, given).one()
    return None if last_seen is None else (reason, last_seen), Position(head or 0, unread or 0)


def end(db: Connection, connection_ids: Collection[str], reason: str, now: datetime) -> list[Ended]:
    """End these, as far as they are live; returns those."""
    these = among(db.dialect.name, connections.c.connection_id, connection_ids)
    if not lock_rows(db, these, _LIVE):
        return []
    ending = update(connections).where(these, _LIVE)
    ended = db.execute(ending.values(ended_at=now, reason=reason).returning(connections.c.connection_id))
    return [Ended(connection_id, reason) for connection_id in ended.scalars()]


def end_of_user(db: Connection, user_id: str, reason: str, now: datetime) -> list[Ended]:
    """End all of a user's; returns those that were live.

    One that has left may come back if that was a mistake; so it is ended too.
    """
    ended = end(db, of_user(db, user_id), reason, now)
    left = and_(connections.c.user_id == user_id, connections.c.reason == GONE)
    if lock_rows(db, left):
        db.execute(update(connections).where(left).values(reason=reason))
    return ended


def expired(db: Connection, now: datetime, limit: int) -> list[str]:
    """Live connections whose token has expired."""
    due = select(connections.c.connection_id).where(connections.c.expires_at <= now, _LIVE)
    return list(db.execute(due.order_by(connections.c.expires_at).limit(limit)).scalars())


def untold(db: Connection, limit: int) -> list[Ended]:
    """Connections that we ended and that some node may not have heard of, the latest first."""
    wanted = select(connections.c.connection_id, connections.c.reason)
    wanted = wanted.where(connections.c.ended_at.is_not(None), connections.c.told_at.is_(None))
    return [Ended(*row) for row in db.execute(wanted.order_by(connections.c.ended_at.desc()).limit(limit))]


def mark_told(db: Connection, connection_ids: Collection[str], now: datetime) -> None:
    """Every node has accepted the closing of these."""
    these = among(db.dialect.name, connections.c.connection_id, connection_ids)
    db.execute(update(connections).where(these).values(told_at=now))


def count(db: Connection, user_id: str) -> int:
    """How many connections a user holds."""
    return db.execute(select(func.count()).where(connections.c.user_id == user_id, _LIVE)).scalar_one()


def totals(db: Connection) -> tuple[int, int]:
    """How many connections there are, and of how many users."""
    wanted = select(func.count(), func.count(connections.c.user_id.distinct())).where(_LIVE)
    total, users = db.execute(wanted).one()
    return total, users
