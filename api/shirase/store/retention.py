"""Retention: removes rows that have expired or are too old, in batches small enough to block nobody."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, delete, select, tuple_

from shirase.store import announcements, deliveries, log, states, tables
from shirase.store.changes import Change, append_changes
from shirase.store.sql import among
from shirase.types import DELETED, EXPIRED, Event

events = tables.Base.metadata.tables["shirase_events"]
notifications = tables.Base.metadata.tables["shirase_notifications"]
keys = tables.Base.metadata.tables["shirase_idempotency_keys"]


def expired(db: Connection, now: datetime, limit: int) -> list[tuple[int, str]]:
    """Expired notifications, as (id, user)."""
    due = notifications.c.expires_at <= now
    query = select(notifications.c.id, notifications.c.user_id).where(due).order_by(notifications.c.expires_at)
    return [(number, user_id) for number, user_id in db.execute(query.limit(limit))]


def outdated(db: Connection, before: datetime, limit: int) -> list[tuple[int, str]]:
    """Notifications created before this time, as (id, user), among the ``limit`` oldest by id.

    Ordering by id saves an index by time, which every create would have to maintain.
    """
    oldest = select(notifications).order_by(notifications.c.id).limit(limit).subquery()
    query = select(oldest.c.id, oldest.c.user_id).where(oldest.c.created_at < before)
    return [(number, user_id) for number, user_id in db.execute(query)]


def remove(db: Connection, due: Sequence[tuple[int, str]], now: datetime) -> list[Event]:
    """Remove notifications and append ``deleted`` events, so that no badge or list keeps them."""
    users = sorted({user_id for _, user_id in due})
    seen = log.lock(db, users)
    deleted = db.execute(
        delete(notifications)
        .where(among(db.dialect.name, notifications.c.user_id, users))
        .where(among(db.dialect.name, notifications.c.id, [number for number, _ in due]))
        .returning(*states.STATE, notifications.c.expires_at)
    ).all()
    announcements.note_gone(db, deleted)
    of_reason: dict[str, list[Any]] = {EXPIRED: [], "removed": []}
    for row in deleted:
        of_reason[EXPIRED if row.expires_at and row.expires_at <= now else "removed"].append(row)
    for reason, rows in of_reason.items():
        deliveries.cancel(db, rows, now, reason)
    of_user: dict[str, list[Any]] = {}
    for row in deleted:
        of_user.setdefault(row.user_id, []).append(row)
    changes = []
    for user_id, rows in of_user.items():
        lost = states.removed(rows, seen[user_id])
        changes.append(Change(user_id, DELETED, {"ids": lost.ids}, -lost.unread, -lost.unseen))
    return append_changes(db, changes, now) if changes else []


def remove_events(db: Connection, before: datetime, limit: int) -> int:
    """Remove old events; a cursor among them gets a reset. Heads stay, so no ``seq`` is reused."""
    old = select(events.c.user_id, events.c.seq).where(events.c.created_at < before)
    old = old.order_by(events.c.created_at).limit(limit)
    deleted = db.execute(delete(events).where(tuple_(events.c.user_id, events.c.seq).in_(old)))
    return cast(CursorResult[Any], deleted).rowcount


def remove_keys(db: Connection, before: datetime, limit: int) -> int:
    """Delete old idempotency keys, which no producer repeats any more."""
    old = select(keys.c.owner, keys.c.key).where(keys.c.created_at < before).limit(limit)
    deleted = db.execute(delete(keys).where(tuple_(keys.c.owner, keys.c.key).in_(old)))
    return cast(CursorResult[Any], deleted).rowcount
