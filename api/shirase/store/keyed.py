"""Storing drafts: new notifications, and new contents of those that have a key.

A user's log is locked before the present notification of a key is read, so that a concurrent replace and read have the
same order in the database and on every device.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Connection,
    Executable,
    Integer,
    Text,
    and_,
    case,
    func,
    select,
    text,
    update,
)

from shirase.fields import FIELDS, rfc3339
from shirase.store import announcements, deliveries, log, retention, tables
from shirase.store.advance import IMPATIENCE, LAST_ID, NOW, appear
from shirase.store.append import CONTENT, NEXT_ID, append_notifications, content_row
from shirase.store.changes import Change, append_changes, with_count
from shirase.store.present import UserKey, find, user_key
from shirase.store.sql import among_listed, document, listed, rows
from shirase.store.tables import Moment, UserId
from shirase.types import UPDATED, Draft, Event, Notification, Stored

notifications = tables.Base.metadata.tables["shirase_notifications"]
streams = tables.Base.metadata.tables["shirase_streams"]

MOST_ACTORS = 3  # kept in a folded notification
USE_ID = text("UPDATE sqlite_sequence SET seq = :last WHERE name = 'shirase_notifications'")
_REVISION = {
    "revision": Integer(),
    "count": Integer(),
    "actors": Text(),
    "read_at": Moment(),
    "archived_at": Moment(),
    "announcement_id": BigInteger(),
}


def have_keys(drafts: Sequence[Draft]) -> bool:
    """Whether any of the drafts has a key."""
    return any(draft.content.columns.get("key") for draft in drafts)


def put(db: Connection, drafts: Sequence[Draft], now: datetime, *, patient: bool = True) -> list[Stored]:
    """Store drafts in order. One with a key replaces the user's present notification of that key; the rest are new.

    What a user has muted is not stored: its result has no notification.

    Args:
        db: a write transaction; without any key a ``single_statement`` one is enough on PostgreSQL.
        drafts: the notifications.
        now: their time of creation or change.
        patient: wait for locked logs up to the timeout; else fail after ``IMPATIENCE`` (``RowsLocked``).
    """
    if not have_keys(drafts):
        appended = append_notifications(db, drafts, now, patient=patient)
        return [_created(event) for event in appended]
    seen = lock(db, sorted({draft.user_id for draft in drafts}), None if patient else IMPATIENCE)
    results: dict[int, Stored] = {}
    for numbers in _rounds(drafts):
        chosen = {number: drafts[number] for number in numbers}
        result = find(db, [draft for draft in chosen.values() if draft.content.key], now)
        existing = result.notifications
        expired = _remove_expired(db, existing, now)
        fresh = {number: draft for number, draft in chosen.items() if user_key(draft) not in existing}
        again = {number: (draft, existing[user_key(draft)]) for number, draft in chosen.items() if number not in fresh}
        if fresh:
            appended = append_notifications(db, list(fresh.values()), now)
            for (number, draft), event in zip(fresh.items(), appended, strict=True):
                results[number] = _created(event, expired.pop(draft.user_id, ()))
        for number in [number for number, (draft, _) in again.items() if user_key(draft) in result.muted]:
            del again[number]
            results[number] = _created(None)
        results |= _replace(db, again, seen, now, planned=result.planned)
    return [results[number] for number in range(len(drafts))]


def _created(event: Event | None, before: Iterable[Event] = ()) -> Stored:
    if event is None:
        return Stored(None, tuple(before), is_new=False)
    return Stored(event.notification, (*before, event), is_new=True)


def lock(db: Connection, user_ids: Sequence[str], patience: str | None = None) -> dict[str, int]:
    """Lock the users' logs, after inserting missing ones; returns each user's position of what is seen."""
    seen = log.lock(db, user_ids, patience)
    missing = [user_id for user_id in user_ids if user_id not in seen]
    if missing:
        appear(db, missing)
        seen |= log.lock(db, missing, patience)
    return seen


def _rounds(drafts: Sequence[Draft]) -> Iterable[list[int]]:
    """Split drafts, by index, into rounds that are stored one after the other, each user's in order.

    For one user, a round has drafts with a key or without one, not both, and no key twice.
    """
    rounds: dict[int, list[int]] = defaultdict(list)
    latest: dict[str, tuple[int, set[str], bool]] = {}  # by user: the round, its keys, whether it has keys
    for number, draft in enumerate(drafts):
        key = draft.content.key
        turn, keys, keyed = latest.get(draft.user_id, (0, set(), bool(key)))
        if keyed != bool(key) or key in keys:
            turn, keys = turn + 1, set()
        latest[draft.user_id] = (turn, keys | ({key} if key else set()), bool(key))
        rounds[turn].append(number)
    return [rounds[turn] for turn in sorted(rounds)]


def _remove_expired(db: Connection, present: dict[UserKey, Notification], now: datetime) -> dict[str, list[Event]]:
    """Remove expired notifications, from ``present`` too; returns the ``deleted`` events by user."""
    expired = {
        owner: notification
        for owner, notification in present.items()
        if notification.content.expires_at and notification.content.expires_at <= now
    }
    events: dict[str, list[Event]] = defaultdict(list)
    if expired:
        for event in retention.remove(
            db, [(notification.id, notification.user_id) for notification in expired.values()], now
        ):
            events[event.user_id].append(event)
        for owner in expired:
            del present[owner]
    return events


@dataclass(frozen=True, slots=True)
class Update:
    """A present notification, before and after a replace."""

    before: Notification
    after: Notification
    rises: bool  # to the top of the list


def _replace(
    db: Connection,
    replaced: Mapping[int, tuple[Draft, Notification]],
    seen: Mapping[str, int],
    now: datetime,
    *,
    planned: bool,
) -> dict[int, Stored]:
    """Replace the contents of present notifications, in order; unchanged ones are not written. No key occurs twice."""
    results = {number: Stored(_with_seen(present, seen), (), is_new=False) for number, (_, present) in replaced.items()}
    updates = {number: made for number, (draft, present) in replaced.items() if (made := updated(draft, present, now))}
    if not updates:
        return results
    positions = _store(db, list(updates.values()), now)
    announcements.note_gone(db, [item.before for item in updates.values()])
    if planned:
        deliveries.plan(db, [item.after for item in updates.values() if item.rises], now)
    changes: list[Change] = []
    for number, item in updates.items():
        after = _with_seen(item.after._replace(position=positions[item.after.id]), seen)
        changes += with_count(_change(item.before, after, seen[after.user_id]))
        results[number] = Stored(after, (), is_new=False)
    events: dict[str, list[Event]] = defaultdict(list)
    for event in append_changes(db, changes, now):
        events[event.user_id].append(event)
    for number, stored in results.items():  # attached to the user's first notification
        if stored.notification:
            results[number] = stored._replace(events=tuple(events.pop(stored.notification.user_id, ())))
    return results


def _with_seen(notification: Notification, seen: Mapping[str, int]) -> Notification:
    return notification._replace(
        is_seen=notification.read_at is not None or notification.position <= seen[notification.user_id]
    )


def updated(draft: Draft, present: Notification, now: datetime) -> Update | None:
    """The notification after the replace; ``None`` if nothing changes."""
    is_unread = present.read_at is None and present.archived_at is None
    actor = draft.content.actor
    if draft.fold:
        count = present.count + 1 if is_unread else 1
        actors = _fold(actor, present if is_unread else None)
    elif not any(draft.content.columns.get(name) != present.content.columns.get(name) for name in FIELDS):
        return None
    else:
        count, actors = 1, None
    after = present._replace(
        content=draft.content,
        count=count,
        actors=actors,
        revision=present.revision + 1,
        updated_at=now,
        read_at=present.read_at if draft.quiet else None,
        archived_at=present.archived_at if draft.quiet else None,
        announcement_id=draft.announcement_id,
    )
    return Update(present, after, rises=not draft.quiet)


def _fold(actor: str | None, present: Notification | None) -> str | None:
    """The latest distinct actors, newest first, as JSON."""
    known: list[dict[str, Any]] = []
    if present:
        earlier = present.actors or f"[{present.content.actor}]" if present.content.actor or present.actors else "[]"
        known = orjson.loads(earlier)
    latest = ([orjson.loads(actor)] if actor else []) + known
    distinct = {each["name"]: each for each in reversed(latest)}
    kept = list(dict.fromkeys(each["name"] for each in latest))[:MOST_ACTORS]
    return orjson.dumps([distinct[name] for name in kept]).decode() if kept else None


def _change(before: Notification, after: Notification, seen: int) -> Change:
    """The ``updated`` event."""
    was_unread, was_unseen = counts(before, seen)
    is_unread, is_unseen = counts(after, seen)
    return Change(
        after.user_id,
        UPDATED,
        state(after, is_seen=after.is_seen),
        is_unread - was_unread,
        is_unseen - was_unseen,
        after,
    )


def state(notification: Notification, *, is_seen: bool) -> dict[str, Any]:
    """The state that an ``updated`` event carries."""
    return {
        "is_read": notification.read_at is not None,
        "is_seen": is_seen,
        "read_at": rfc3339(notification.read_at) if notification.read_at else None,
        "archived_at": rfc3339(notification.archived_at) if notification.archived_at else None,
        "revision": notification.revision,  # an older one than the notification's marks the event as superseded
    }


def counts(notification: Notification, seen: int) -> tuple[int, int]:
    """What a notification adds to the counts of unread and unseen: 0 or 1 each."""
    is_unread = notification.read_at is None and notification.archived_at is None
    return int(is_unread), int(is_unread and notification.position > seen)


def _store(db: Connection, updates: Sequence[Update], now: datetime) -> dict[int, int]:
    """Write the new contents; returns the positions by id."""
    values = [
        {
            "id": item.after.id,
            "user_id": item.after.user_id,
            "position": None if item.rises else item.before.position,
            "revision": item.after.revision,
            "count": item.after.count,
            "actors": item.after.actors,
            "read_at": rfc3339(item.after.read_at) if item.after.read_at else None,
            "archived_at": rfc3339(item.after.archived_at) if item.after.archived_at else None,
            "announcement_id": item.after.announcement_id,
            **content_row(item.after.content),
        }
        for item in updates
    ]
    rising = [value for value in values if value["position"] is None]
    if db.dialect.name == "sqlite":
        last = db.execute(select(LAST_ID)).scalar_one()
        for position, value in enumerate(rising, last + 1):
            value["position"] = position
        db.execute(USE_ID, {"last": last + len(rising)})
    elif len(rising) > 1:  # the statement itself numbers a single one; several keep their order
        numbers = db.scalars(select(NEXT_ID).select_from(func.generate_series(1, len(rising))))
        for position, value in zip(sorted(numbers), rising, strict=True):
            value["position"] = position
    parameters = {"contents": document(values), "now": now}
    if db.dialect.name != "sqlite":
        parameters["users"] = listed(db.dialect.name, {item.after.user_id for item in updates})
    result = db.execute(_store_all(db.dialect.name), parameters)
    return {number: position for number, position in result}  # noqa: C416 - rows are pairs


@cache
def _store_all(dialect: str) -> Executable:
    columns = {"id": BigInteger(), "user_id": UserId, "position": BigInteger(), **_REVISION, **CONTENT}
    new = rows(dialect, "contents", columns)
    position = new.c.position if dialect == "sqlite" else func.coalesce(new.c.position, NEXT_ID)
    written = {name: new.c[name] for name in (*_REVISION, *FIELDS)}
    # Unread again: drop the device that it was read on.
    by = case((new.c.read_at.is_(None), None), else_=notifications.c.read_by)
    these = and_(notifications.c.id == new.c.id, notifications.c.user_id == new.c.user_id)
    if dialect != "sqlite":  # so that the plan has the partitions of these users alone
        these = and_(these, among_listed(dialect, notifications.c.user_id, "users"))
    return (
        update(notifications)
        .where(these)
        .values(**written, position=position, updated_at=NOW, read_by=by)
        .returning(notifications.c.id, notifications.c.position)
    )
