"""The inbox: the state of a user's notifications that REST reads and changes."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, or_, select, update

from shirase.store import tables
from shirase.store.sql import among
from shirase.store.tables import content_of
from shirase.types import Notification

notifications = tables.Base.metadata.tables["shirase_notifications"]


def page(
    db: Connection,
    user_id: str,
    now: datetime,
    *,
    limit: int,
    before: int | None = None,
    unread: bool | None = None,
    type_: str | None = None,
) -> list[Notification]:
    """A user's notifications, newest first, below the id ``before``."""
    wanted = select(notifications).where(_visible(user_id, now))
    if before is not None:
        wanted = wanted.where(notifications.c.id < before)
    if unread is not None:
        wanted = wanted.where(notifications.c.read_at.is_(None) if unread else notifications.c.read_at.is_not(None))
    if type_ is not None:
        wanted = wanted.where(notifications.c.type == type_)
    found = db.execute(wanted.order_by(notifications.c.id.desc()).limit(limit))
    return [_notification(row) for row in found]


def get(db: Connection, user_id: str, number: int, now: datetime) -> Notification | None:
    """One of a user's notifications."""
    wanted = select(notifications).where(_visible(user_id, now), notifications.c.id == number)
    row = db.execute(wanted).one_or_none()
    return None if row is None else _notification(row)


def mark_read(
    db: Connection, user_id: str, ids: Sequence[int] | None, now: datetime, device: str | None = None
) -> list[int]:
    """Mark these (``None``: all) read; returns those that were not read before. The log must be locked."""
    wanted = update(notifications).where(_visible(user_id, now), notifications.c.read_at.is_(None))
    if ids is not None:
        wanted = wanted.where(among(db.dialect.name, notifications.c.id, ids))
    changed = db.execute(wanted.values(read_at=now, read_by=device).returning(notifications.c.id))
    return sorted(changed.scalars())


def remove(db: Connection, user_id: str, number: int, now: datetime) -> bool | None:
    """Delete one; returns whether it was unread, ``None`` if the user has no such. The log must be locked."""
    gone = db.execute(
        delete(notifications)
        .where(_visible(user_id, now), notifications.c.id == number)
        .returning(notifications.c.read_at)
    ).one_or_none()
    return None if gone is None else gone.read_at is None


def _visible(user_id: str, now: datetime) -> ColumnElement[bool]:
    alive = or_(notifications.c.expires_at.is_(None), notifications.c.expires_at > now)
    return (notifications.c.user_id == user_id) & alive


def _notification(row: Any) -> Notification:
    return Notification(row.id, row.user_id, content_of(row), row.created_at, row.read_at)
