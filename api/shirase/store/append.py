"""Appending to logs: what is stored for a create, and for whatever else happened to a user's notifications.

A log's row is locked, its head moved forward and the event inserted in one transaction (see ``log``). PostgreSQL does
all of it in one statement; SQLite, where a statement may change one table alone, in three.
"""

import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

import orjson
from sqlalchemy import (
    BigInteger,
    Connection,
    Executable,
    FromClause,
    Integer,
    String,
    Text,
    bindparam,
    case,
    func,
    insert,
    literal,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite

from shirase.fields import FIELDS, Content, rfc3339
from shirase.store import tables
from shirase.store.log import expired_unread
from shirase.store.sql import document, rows, setting
from shirase.store.tables import Moment, Tag, UserId, column_type
from shirase.types import NOTIFICATION, Draft, Event, EventId, Notification

streams = tables.Base.metadata.tables["shirase_streams"]
events = tables.Base.metadata.tables["shirase_events"]
notifications = tables.Base.metadata.tables["shirase_notifications"]

IMPATIENCE = "100ms"  # that a lock may take where there is another way

# Every statement is built once: to build one takes 20 times as long as to run it.
_NOW = bindparam("now", type_=Moment())
_TAG = bindparam("tag", type_=Tag)
_CONTENT = {"k": Integer(), **{name: column_type(field) for name, field in FIELDS.items()}}
_STORED = ("user_id", "seq", "created_at", *FIELDS)


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to a user's notifications, not yet in the log."""

    user_id: str
    kind: str
    data: dict[str, Any]  # without the count, which is known only once the log has advanced
    unread: int  # by how much the count changes


def append_notifications(
    db: Connection, drafts: Sequence[Draft], now: datetime, *, patient: bool = True
) -> list[Event]:
    """Store notifications and their events, in order, in as many round trips for one as for ten thousand.

    Args:
        db: one that writes, which in PostgreSQL may be the one statement's own.
        drafts: what to store.
        now: when they are created.
        patient: whether to wait for a log that someone else holds. Else it fails soon (``RowsLocked``).
    """
    contents: dict[int, tuple[int, Content]] = {}
    left = Counter(draft.user_id for draft in drafts)
    places: list[dict[str, Any]] = []
    for order, draft in enumerate(drafts):
        k, _ = contents.setdefault(id(draft.content), (len(contents), draft.content))
        left[draft.user_id] -= 1
        places.append({"user_id": draft.user_id, "after": left[draft.user_id], "k": k, "ord": order})
    said = document(_content_row(k, content) for k, content in contents.values())
    tag = _new_tag()
    if _dialect(db) == "sqlite":  # which has one writer at a time anyway
        stored_at = _store_in_three(db, places, said, tag, now)
    else:
        stored_at = _store_in_one(db, places, said, tag, now, patient=patient)
    appended = []
    for draft, (number, seq, unread, previous_tag) in zip(drafts, stored_at, strict=True):
        stored = Notification(number, draft.user_id, draft.content, now)
        own, previous = EventId(seq, tag), EventId(seq - 1, previous_tag)
        appended.append(Event(draft.user_id, own, previous, NOTIFICATION, unread, now, None, stored))
    return appended


def append_changes(db: Connection, changes: Sequence[Change], now: datetime) -> list[Event]:
    """Append what happened to stored notifications, one event a user; each says the user's absolute count."""
    steps = [{"user_id": change.user_id, "events": 1, "unread": change.unread} for change in changes]
    tag = _new_tag()
    ends = _advance(db, steps, tag)
    hidden = expired_unread(db, [change.user_id for change in changes], now)
    appended = []
    for change in changes:
        end = ends[change.user_id]
        data = {**change.data, "unread_count": end.unread - hidden.get(change.user_id, 0)}
        text = orjson.dumps(data).decode()
        own, previous = EventId(end.head, tag), EventId(end.head - 1, end.previous_tag)
        appended.append(Event(change.user_id, own, previous, change.kind, end.unread, now, text))
    _insert_events(db, [_entry(event) for event in appended], now)
    return appended


# Each place of a new notification: whose, how many of the same user's come after it, which content, which order.
Places = Sequence[dict[str, Any]]
# Of each, in order: the notification's id, the event's seq, the count after it, and the tag of the event before it.
Stored = Iterable[tuple[int, int, int, str]]


class _End(NamedTuple):
    """Where a log stands after an append."""

    head: int
    unread: int
    previous_tag: str  # of the head before


def _new_tag() -> str:
    """Random bits for the events of one append: they are committed together, or never were."""
    return secrets.token_hex(3)


def _store_in_one(db: Connection, places: Places, said: str, tag: str, now: datetime, *, patient: bool) -> Stored:
    given = {"place": document(places), "said": said, "tag": tag, "now": now}
    # Ids are given in the order of the places.
    return sorted(map(tuple, db.execute(_append_at_once(patient=patient), given).all()))


def _store_in_three(db: Connection, places: Places, said: str, tag: str, now: datetime) -> Stored:
    counts = Counter(place["user_id"] for place in places)
    ends = _advance(db, [{"user_id": user, "events": n, "unread": n} for user, n in counts.items()], tag)
    for place in places:
        place["seq"] = ends[place["user_id"]].head - place["after"]
    given = {"said": said, "place": document(places), "now": now}
    ids = {(user, seq): number for user, seq, number in db.execute(_insert_notifications(), given).all()}
    stored = []
    entries = []
    for place in places:
        user, seq = place["user_id"], place["seq"]
        unread = ends[user].unread - place["after"]
        number = ids[user, seq]
        is_first = place["after"] == counts[user] - 1
        previous_tag = ends[user].previous_tag if is_first else tag
        stored.append((number, seq, unread, previous_tag))
        entry = {"user_id": user, "seq": seq, "kind": NOTIFICATION, "notification_id": number, "unread": unread}
        entries.append({**entry, "data": None, "tag": tag, "previous_tag": previous_tag})
    _insert_events(db, entries, now)
    return stored


@cache
def _append_at_once(*, patient: bool) -> Executable:
    said = rows("postgresql", "said", _CONTENT)
    given = rows("postgresql", "place", {"user_id": UserId, "after": BigInteger(), "k": Integer(), "ord": Integer()})
    place = select(given).cte("places")  # taken apart once, though it is used twice
    one = func.count()
    counted = select(place.c.user_id, one.label("events"), one.label("unread")).group_by(place.c.user_id)
    if not patient:
        counted = counted.where(setting("lock_timeout", IMPATIENCE))
    steps = counted.cte("steps")
    ended = _advancing(postgresql, steps).cte("ended")
    notified = (
        select(
            place.c.user_id,
            ended.c.head - place.c.after,
            _NOW,
            *(said.c[name] for name in FIELDS),
        )
        .join_from(place, ended, place.c.user_id == ended.c.user_id)
        .join(said, place.c.k == said.c.k)
        .order_by(place.c.ord)
    )
    stored = (
        insert(notifications)
        .from_select(_STORED, notified)
        .returning(notifications.c.user_id, notifications.c.seq, notifications.c.id)
        .cte("stored")
    )
    unread = ended.c.unread - (ended.c.head - stored.c.seq)
    is_first = stored.c.seq == ended.c.head - steps.c.events + 1
    previous_tag = case((is_first, ended.c.previous_tag), else_=_TAG)
    entries = (
        select(stored.c.user_id, stored.c.seq, literal(NOTIFICATION), stored.c.id, unread, _TAG, previous_tag, _NOW)
        .join_from(stored, ended, stored.c.user_id == ended.c.user_id)
        .join(steps, stored.c.user_id == steps.c.user_id)
    )
    columns = ["user_id", "seq", "kind", "notification_id", "unread", "tag", "previous_tag", "created_at"]
    return (
        insert(events)
        .from_select(columns, entries)
        .returning(events.c.notification_id, events.c.seq, events.c.unread, events.c.previous_tag)
    )


def _advance(db: Connection, steps: Iterable[dict[str, Any]], tag: str) -> dict[str, _End]:
    """Move heads and counts forward, and hold the rows' locks until the transaction ends.

    Args:
        db: a transaction that writes.
        steps: ``{"user_id", "events", "unread"}``, one a user.
        tag: of the events that are appended.
    """
    found = db.execute(_advance_by_steps(_dialect(db)), {"steps": document(steps), "tag": tag})
    return {user: _End(*end) for user, *end in found.all()}


@cache
def _advance_by_steps(dialect: str) -> Executable:
    steps = rows(dialect, "steps", {"user_id": UserId, "events": BigInteger(), "unread": Integer()})
    statement: Executable = _advancing(sqlite if dialect == "sqlite" else postgresql, steps)
    return statement


def _advancing(module: Any, steps: FromClause) -> Any:
    # Locks are taken in the order of ids, so that two broadcasts never wait for each other in a circle.
    # (SQLite takes "ON CONFLICT" after a SELECT for a join unless there is a WHERE.)
    new = select(steps.c.user_id, steps.c.events, steps.c.unread, _TAG).where(true()).order_by(steps.c.user_id)
    statement = module.insert(streams).from_select(["user_id", "head", "unread", "tag"], new)
    statement = statement.on_conflict_do_update(
        index_elements=["user_id"],
        set_={
            "head": streams.c.head + statement.excluded.head,
            "unread": streams.c.unread + statement.excluded.unread,
            "tag": statement.excluded.tag,
            "previous_tag": streams.c.tag,
        },
    )
    return statement.returning(streams.c.user_id, streams.c.head, streams.c.unread, streams.c.previous_tag)


@cache
def _insert_notifications() -> Executable:
    said = rows("sqlite", "said", _CONTENT)
    place = rows("sqlite", "place", {"user_id": UserId, "seq": BigInteger(), "k": Integer(), "ord": Integer()})
    columns = [place.c.user_id, place.c.seq, _NOW, *(said.c[name] for name in FIELDS)]
    source = select(*columns).join_from(place, said, place.c.k == said.c.k)
    statement = insert(notifications).from_select(_STORED, source.order_by(place.c.ord))
    return statement.returning(notifications.c.user_id, notifications.c.seq, notifications.c.id)


def _insert_events(db: Connection, entries: Sequence[dict[str, Any]], now: datetime) -> None:
    db.execute(_insert_entries(_dialect(db)), {"appended": document(entries), "now": now})


@cache
def _insert_entries(dialect: str) -> Executable:
    columns = {
        "user_id": UserId,
        "seq": BigInteger(),
        "kind": String(),
        "notification_id": BigInteger(),
        "data": Text(),
        "unread": Integer(),
        "tag": Tag,
        "previous_tag": Tag,
    }
    source = rows(dialect, "appended", columns)
    return insert(events).from_select([*columns, "created_at"], select(*source.c, _NOW))


def _dialect(db: Connection) -> str:
    return db.dialect.name


def _entry(event: Event) -> dict[str, Any]:
    return {
        "user_id": event.user_id,
        "seq": event.seq,
        "kind": event.kind,
        "notification_id": None,
        "data": event.data,
        "unread": event.unread,
        "tag": event.id.tag,
        "previous_tag": event.previous.tag,
    }


def _content_row(k: int, content: Content) -> dict[str, Any]:
    shown = {
        name: rfc3339(value) if FIELDS[name].kind == "time" else value
        for name, value in content.columns.items()
        if value is not None
    }
    return {"k": k, **shown}
