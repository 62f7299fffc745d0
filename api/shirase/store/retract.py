"""Retracting notifications by key."""

from datetime import datetime

from sqlalchemy import Connection, select

from shirase.store import log, retention, scheduled, tables
from shirase.types import Event

notifications = tables.Base.metadata.tables["shirase_notifications"]


def retract(db: Connection, user_id: str, key: str, now: datetime) -> list[Event]:
    """Remove the user's notification of this key, and scheduled ones of the same key."""
    scheduled.cancel_key(db, key, user_id)
    log.lock(db, [user_id])
    query = select(notifications.c.id).where(notifications.c.key == key, notifications.c.user_id == user_id)
    due = [(number, user_id) for number in db.scalars(query)]
    return retention.remove(db, due, now) if due else []


def of_key(db: Connection, key: str, limit: int) -> list[tuple[int, str]]:
    """Every user's notification of this key, as (id, user)."""
    query = select(notifications.c.id, notifications.c.user_id).where(notifications.c.key == key)
    return [(number, user_id) for number, user_id in db.execute(query.order_by(notifications.c.user_id).limit(limit))]
