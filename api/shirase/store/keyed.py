"""Storing what producers send: new notifications, and new contents of those that have a key.

A user's log is locked before the present notification of a key is read. So of a replace and a read at the same time one
comes first, for the database and for every device alike.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from sqlalchemy import BigInteger, Connection, Executable, Integer, String, Text, case, func, select, text, update

from shirase.fields import FIELDS, rfc3339
from shirase.store import announcements, log, retention, tables
from shirase.store.advance import IMPATIENCE, LAST_ID, NOW, appear
from shirase.store.append import CONTENT, NEXT_ID, append_notifications, content_row
from shirase.store.changes import Change, append_changes, with_count
from shirase.store.inbox import notification_of
from shirase.store.sql import document, rows
from shirase.store.tables import Moment, UserId
from shirase.types import UPDATED, Draft, Event, Notification, Stored

notifications = tables.Base.metadata.tables["shirase_notifications"]

MOST_ACTORS = 3  # that are kept of those who were folded into one
USE_ID = text("UPDATE sqlite_sequence SET seq = :last WHERE name = 'shirase_notifications'")
_REVISION = {
    "revision": Integer(),
    "count": Integer(),
    "actors": Text(),
    "read_at": Moment(),
    "archived_at": Moment(),
    "announcement_id": BigInteger(),
}

Whose = tuple[str, str]  # user and key


def put(db: Connection, drafts: Sequence[Draft], now: datetime, *, patient: bool = True) -> list[Stored]:
    """Store drafts in order: those without a key are new, those with one replace the user's present one of that key.

    Args:
        db: a transaction that writes. Without any key, PostgreSQL needs no more than the one statement's own.
        drafts: what to store.
        now: when.
        patient: whether to wait for a log that someone else holds. Else it fails soon (``RowsLocked``).
    """
    if not any(draft.content.key for draft in drafts):
        appended = append_notifications(db, drafts, now, patient=patient)
        return [_created(event) for event in appended]
    seen = lock(db, sorted({draft.user_id for draft in drafts}), None if patient else IMPATIENCE)
    results: dict[int, Stored] = {}
    for numbers in _rounds(drafts):
        chosen = {number: drafts[number] for number in numbers}
        there = present(db, {whose(draft) for draft in chosen.values() if draft.content.key})
        gone = _remove_expired(db, there, now)
        fresh = {number: draft for number, draft in chosen.items() if whose(draft) not in there}
        again = {number: (draft, there[whose(draft)]) for number, draft in chosen.items() if number not in fresh}
        if fresh:
            appended = append_notifications(db, list(fresh.values()), now)
            for number, event in zip(fresh, appended, strict=True):
                results[number] = _created(event, gone.pop(event.user_id, ()))
        results |= _replace(db, again, seen, now)
    return [results[number] for number in range(len(drafts))]


def _created(event: Event, before: Iterable[Event] = ()) -> Stored:
    assert event.notification  # noqa: S101 - an append has one
    return Stored(event.notification, (*before, event), is_new=True)


def whose(draft: Draft) -> Whose:
    """The user and the key."""
    return draft.user_id, draft.content.key or ""


def lock(db: Connection, user_ids: Sequence[str], patience: str | None = None) -> dict[str, int]:
    """Lock the users' logs, those of users who have none yet too; for each, up to where everything is seen."""
    seen = log.lock(db, user_ids, patience)
    missing = [user_id for user_id in user_ids if user_id not in seen]
    if missing:
        appear(db, missing)
        seen |= log.lock(db, missing, patience)
    return seen


def _rounds(drafts: Sequence[Draft]) -> Iterable[list[int]]:
    """The places of drafts that can be stored together, such that each user's are stored in order.

    What has a key goes apart from what has none, and after another one of the same key.
    """
    found: dict[int, list[int]] = defaultdict(list)
    latest: dict[str, tuple[int, set[str], bool]] = {}  # by user: the round, its keys, whether it has keys
    for number, draft in enumerate(drafts):
        key = draft.content.key
        turn, keys, keyed = latest.get(draft.user_id, (0, set(), bool(key)))
        if keyed != bool(key) or key in keys:
            turn, keys = turn + 1, set()
        latest[draft.user_id] = (turn, keys | ({key} if key else set()), bool(key))
        found[turn].append(number)
    return [found[turn] for turn in sorted(found)]


def present(db: Connection, whose: Iterable[Whose]) -> dict[Whose, Notification]:
    """The notifications that have these keys, whether expired or not."""
    given = document({"user_id": user_id, "key": key} for user_id, key in whose)
    found = db.execute(_find(db.dialect.name), {"wanted": given})
    return {(row.user_id, row.key): notification_of(row) for row in found}


@cache
def _find(dialect: str) -> Executable:
    wanted = rows(dialect, "wanted", {"user_id": UserId, "key": String()})
    return select(notifications).join(
        wanted, (notifications.c.key == wanted.c.key) & (notifications.c.user_id == wanted.c.user_id)
    )


def _remove_expired(db: Connection, present: dict[Whose, Notification], now: datetime) -> dict[str, list[Event]]:
    """Remove what has expired, also from ``present``; by user, the events that tell so."""
    expired = {whose: one for whose, one in present.items() if one.content.expires_at and one.content.expires_at <= now}
    told: dict[str, list[Event]] = defaultdict(list)
    if expired:
        for event in retention.remove(db, [(one.id, one.user_id) for one in expired.values()], now):
            told[event.user_id].append(event)
        for whose in expired:
            del present[whose]
    return told


@dataclass(frozen=True, slots=True)
class Update:
    """A present notification, and how it is to be."""

    before: Notification
    after: Notification
    rises: bool  # to the top of the list


def _replace(
    db: Connection, wanted: Mapping[int, tuple[Draft, Notification]], seen: Mapping[str, int], now: datetime
) -> dict[int, Stored]:
    """Give present notifications new contents, in order, at most one a key; what does not change is left as it is."""
    results = {number: Stored(_with_seen(present, seen), (), is_new=False) for number, (_, present) in wanted.items()}
    updates = {number: made for number, (draft, present) in wanted.items() if (made := updated(draft, present, now))}
    if not updates:
        return results
    positions = _store(db, list(updates.values()), now)
    announcements.note_gone(db, [one.before for one in updates.values()])
    changes: list[Change] = []
    for number, one in updates.items():
        after = _with_seen(replace(one.after, position=positions[one.after.id]), seen)
        changes += with_count(_change(one.before, after, seen[after.user_id]))
        results[number] = Stored(after, (), is_new=False)
    told: dict[str, list[Event]] = defaultdict(list)
    for event in append_changes(db, changes, now):
        told[event.user_id].append(event)
    for number, stored in results.items():  # a user's events go with the user's first notification
        results[number] = replace(stored, events=tuple(told.pop(stored.notification.user_id, ())))
    return results


def _with_seen(one: Notification, seen: Mapping[str, int]) -> Notification:
    return replace(one, is_seen=one.read_at is not None or one.position <= seen[one.user_id])


def updated(draft: Draft, present: Notification, now: datetime) -> Update | None:
    """How the present notification is to be; ``None`` if it is so already."""
    is_unread = present.read_at is None and present.archived_at is None
    actor = draft.content.actor
    if draft.fold:
        count = present.count + 1 if is_unread else 1
        actors = _fold(actor, present if is_unread else None)
    elif not any(draft.content.columns.get(name) != present.content.columns.get(name) for name in FIELDS):
        return None
    else:
        count, actors = 1, None
    after = replace(
        present,
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
    distinct = {one["name"]: one for one in reversed(latest)}
    kept = list(dict.fromkeys(one["name"] for one in latest))[:MOST_ACTORS]
    return orjson.dumps([distinct[name] for name in kept]).decode() if kept else None


def _change(before: Notification, after: Notification, seen: int) -> Change:
    """What the user is told."""
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


def state(one: Notification, *, is_seen: bool) -> dict[str, Any]:
    """The state as of an ``updated`` event."""
    return {
        "is_read": one.read_at is not None,
        "is_seen": is_seen,
        "read_at": rfc3339(one.read_at) if one.read_at else None,
        "archived_at": rfc3339(one.archived_at) if one.archived_at else None,
        "revision": one.revision,  # by which an event that is updated again is known
    }


def counts(one: Notification, seen: int) -> tuple[int, int]:
    """Whether it counts as unread, and as unseen."""
    is_unread = one.read_at is None and one.archived_at is None
    return int(is_unread), int(is_unread and one.position > seen)


def _store(db: Connection, updates: Sequence[Update], now: datetime) -> dict[int, int]:
    """Write the new contents; returns the positions of all."""
    values = [
        {
            "id": one.after.id,
            "position": None if one.rises else one.before.position,
            "revision": one.after.revision,
            "count": one.after.count,
            "actors": one.after.actors,
            "read_at": rfc3339(one.after.read_at) if one.after.read_at else None,
            "archived_at": rfc3339(one.after.archived_at) if one.after.archived_at else None,
            "announcement_id": one.after.announcement_id,
            **content_row(one.after.content),
        }
        for one in updates
    ]
    rising = [value for value in values if value["position"] is None]
    if db.dialect.name == "sqlite":
        last = db.execute(select(LAST_ID)).scalar_one()
        for position, value in enumerate(rising, last + 1):
            value["position"] = position
        db.execute(USE_ID, {"last": last + len(rising)})
    elif len(rising) > 1:  # one is numbered by the statement itself; several in their order
        numbers = db.scalars(select(NEXT_ID).select_from(func.generate_series(1, len(rising))))
        for position, value in zip(sorted(numbers), rising, strict=True):
            value["position"] = position
    found = db.execute(_store_all(db.dialect.name), {"contents": document(values), "now": now})
    return {number: position for number, position in found}  # noqa: C416 - rows are pairs


@cache
def _store_all(dialect: str) -> Executable:
    columns = {"id": BigInteger(), "position": BigInteger(), **_REVISION, **CONTENT}
    new = rows(dialect, "contents", columns)
    position = new.c.position if dialect == "sqlite" else func.coalesce(new.c.position, NEXT_ID)
    written = {name: new.c[name] for name in (*_REVISION, *FIELDS)}
    # Whoever read it on a device that it is unread on again is not known any more.
    by = case((new.c.read_at.is_(None), None), else_=notifications.c.read_by)
    return (
        update(notifications)
        .where(notifications.c.id == new.c.id)
        .values(**written, position=position, updated_at=NOW, read_by=by)
        .returning(notifications.c.id, notifications.c.position)
    )
