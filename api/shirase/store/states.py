"""States of a user's notifications: read, archived, seen, deleted. The user's log must be locked (``log.lock``)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, or_, select, update

from shirase.store import announcements, deliveries, tables
from shirase.store.sql import among

notifications = tables.Base.metadata.tables["shirase_notifications"]
streams = tables.Base.metadata.tables["shirase_streams"]

STATE = tuple(
    notifications.c[name] for name in ("id", "user_id", "position", "read_at", "archived_at", "announcement_id")
)


@dataclass(frozen=True, slots=True)
class Changed:
    """The notifications that changed, and by how much the counts of unread and unseen change."""

    ids: Sequence[int]
    unread: int
    unseen: int


def mark_read(
    db: Connection, user_id: str, ids: Sequence[int] | None, now: datetime, *, seen: int, device: str | None
) -> Changed:
    """Mark these notifications (``None``: all) as read; returns those that were unread."""
    is_unread = notifications.c.read_at.is_(None)
    rows = _update(db, user_id, ids, now, is_unread, {"read_at": now, "read_by": device})
    deliveries.cancel(db, rows, now, "read")
    return _changed((row for row in rows if row.archived_at is None), rows, seen)


def mark_unread(db: Connection, user_id: str, ids: Sequence[int], now: datetime, *, seen: int) -> Changed:
    """Mark these notifications as unread; returns those that were read."""
    is_read = notifications.c.read_at.is_not(None)
    rows = _update(db, user_id, ids, now, is_read, {"read_at": None, "read_by": None})
    return _changed((row for row in rows if row.archived_at is None), rows, seen)


def archive(db: Connection, user_id: str, ids: Sequence[int] | None, now: datetime, *, seen: int) -> Changed:
    """Archive these notifications (``None``: all); returns those that were not archived."""
    is_open = notifications.c.archived_at.is_(None)
    rows = _update(db, user_id, ids, now, is_open, {"archived_at": now})
    deliveries.cancel(db, rows, now, "archived")
    return _changed((row for row in rows if row.read_at is None), rows, seen)


def unarchive(db: Connection, user_id: str, ids: Sequence[int], now: datetime, *, seen: int) -> Changed:
    """Unarchive these notifications; returns those that were archived."""
    is_archived = notifications.c.archived_at.is_not(None)
    rows = _update(db, user_id, ids, now, is_archived, {"archived_at": None})
    return _changed((row for row in rows if row.read_at is None), rows, seen)


def mark_seen(db: Connection, user_id: str) -> int:
    """Mark everything up to now as seen; returns how many notifications were unseen."""
    latest = select(func.max(notifications.c.position)).where(notifications.c.user_id == user_id).scalar_subquery()
    unseen: int = db.execute(select(streams.c.unseen).where(streams.c.user_id == user_id)).scalar_one_or_none() or 0
    seen = func.coalesce(latest, streams.c.seen)
    db.execute(update(streams).where(streams.c.user_id == user_id).values(seen=seen))
    return unseen


def remove(db: Connection, user_id: str, number: int, now: datetime, *, seen: int) -> Changed:
    """Delete one of the user's notifications; the result is empty if there is none with this id."""
    statement = delete(notifications).where(_of(user_id, now), notifications.c.id == number)
    deleted = db.execute(statement.returning(*STATE)).all()
    announcements.note_gone(db, deleted)
    deliveries.cancel(db, deleted, now, "removed")
    return removed(deleted, seen)


def removed(rows: Sequence[Any], seen: int) -> Changed:
    """The ids of a user's deleted rows, and how many of them were counted as unread and unseen."""
    return _changed((row for row in rows if row.read_at is None and row.archived_at is None), rows, seen)


def _update(
    db: Connection,
    user_id: str,
    ids: Sequence[int] | None,
    now: datetime,
    condition: ColumnElement[bool],
    values: dict[str, Any],
) -> Sequence[Any]:
    statement = update(notifications).where(_of(user_id, now), condition)
    if ids is not None:
        statement = statement.where(among(db.dialect.name, notifications.c.id, ids))
    return db.execute(statement.values(**values).returning(*STATE)).all()


def _changed(counted: Iterable[Any], rows: Sequence[Any], seen: int) -> Changed:
    positions = [row.position for row in counted]
    unseen = sum(position > seen for position in positions)
    return Changed(sorted(row.id for row in rows), len(positions), unseen)


def _of(user_id: str, now: datetime) -> ColumnElement[bool]:
    alive = or_(notifications.c.expires_at.is_(None), notifications.c.expires_at > now)
    return (notifications.c.user_id == user_id) & alive
