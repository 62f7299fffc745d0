"""Appending new notifications to logs.

PostgreSQL does all of it in one statement; SQLite, where a statement may change one table alone, in three.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Executable, Integer, case, func, insert, literal, select
from sqlalchemy import Sequence as IdSequence
from sqlalchemy.dialects import postgresql

from shirase.fields import FIELDS, Content, rfc3339
from shirase.store import tables
from shirase.store.advance import IMPATIENCE, NOW, TAG, advance, advancing, insert_events, new_tag
from shirase.store.sql import document, rows, setting
from shirase.store.tables import Moment, UserId, column_type
from shirase.types import NOTIFICATION, Draft, Event, EventId, Notification

events = tables.Base.metadata.tables["shirase_events"]
notifications = tables.Base.metadata.tables["shirase_notifications"]

# Ids and positions in the list are of one sequence, so that a position of a new notification is its id.
NEXT_ID = IdSequence("shirase_notifications_id_seq").next_value()

# Every statement is built once: to build one takes 20 times as long as to run it.
CONTENT = {name: column_type(field) for name, field in FIELDS.items()}
_PLACE = {"user_id": UserId, "k": Integer(), "ord": Integer()}
_STORED = ("id", "position", "user_id", "seq", "created_at", "announcement_id", *FIELDS)
_SAID = {"k": Integer(), "announced_at": Moment(), "announcement_id": BigInteger(), **CONTENT}
_OF_CONTENT = [name for name in _SAID if name != "k"]


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
    contents: dict[int, tuple[int, Draft]] = {}
    left = Counter(draft.user_id for draft in drafts)
    places: list[dict[str, Any]] = []
    for order, draft in enumerate(drafts):
        k, _ = contents.setdefault(id(draft.content), (len(contents), draft))
        left[draft.user_id] -= 1
        places.append({"user_id": draft.user_id, "after": left[draft.user_id], "k": k, "ord": order})
    said = document(_said_row(k, draft) for k, draft in contents.values())
    tag = new_tag()
    if db.dialect.name == "sqlite":  # which has one writer at a time anyway
        return _store_in_three(db, drafts, places, said, tag, now)
    appended = []
    given = {"place": document(places), "said": said, "tag": tag, "now": now}
    stored = sorted(map(tuple, db.execute(_append_at_once(patient=patient), given)))  # ids are in the order of places
    for draft, (number, seq, unread, unseen, previous_tag) in zip(drafts, stored, strict=True):
        ids = EventId(seq, tag), EventId(seq - 1, previous_tag)
        appended.append(_event(draft, number, ids, (unread, unseen), now))
    return appended


def _said_row(k: int, draft: Draft) -> dict[str, Any]:
    row = {"k": k, **content_row(draft.content)}
    if draft.announcement_id is not None and draft.created_at:
        row |= {"announcement_id": draft.announcement_id, "announced_at": rfc3339(draft.created_at)}
    return row


def content_row(content: Content) -> dict[str, Any]:
    """The columns of a content as a row of a parameter (``rows``); NULL is left out."""
    return {
        name: rfc3339(value) if FIELDS[name].kind == "time" else value
        for name, value in content.columns.items()
        if value is not None
    }


def _event(draft: Draft, number: int, ids: tuple[EventId, EventId], counts: tuple[int, int], now: datetime) -> Event:
    stored = Notification(
        number,
        draft.user_id,
        draft.content,
        draft.created_at or now,
        position=number,
        announcement_id=draft.announcement_id,
    )
    own, previous = ids
    unread, unseen = counts
    return Event(draft.user_id, own, previous, NOTIFICATION, unread, now, None, stored, unseen)


def _store_in_three(
    db: Connection, drafts: Sequence[Draft], places: Sequence[dict[str, Any]], said: str, tag: str, now: datetime
) -> list[Event]:
    counts = Counter(draft.user_id for draft in drafts)
    steps = [{"user_id": user, "events": n, "unread": n, "unseen": n} for user, n in counts.items()]
    ends = advance(db, steps, tag)
    last_id = next(iter(ends.values())).last_id
    appended = []
    for number, (draft, place) in enumerate(zip(drafts, places, strict=True), last_id + 1):
        end, after = ends[draft.user_id], place["after"]
        place |= {"id": number, "seq": end.head - after}
        is_first = after == counts[draft.user_id] - 1
        ids = EventId(end.head - after, tag), EventId(end.head - after - 1, end.previous_tag if is_first else tag)
        appended.append(_event(draft, number, ids, (end.unread - after, end.unseen - after), now))
    db.execute(_insert_notifications(), {"said": said, "place": document(places), "now": now})
    insert_events(db, appended, now)
    return appended


@cache
def _append_at_once(*, patient: bool) -> Executable:
    said = rows("postgresql", "said", _SAID)
    given = rows("postgresql", "place", {**_PLACE, "after": BigInteger()})
    place = select(given).cte("places")  # taken apart once, though it is used twice
    one = func.count()
    counted = select(place.c.user_id, one.label("events"), one.label("unread"), one.label("unseen"))
    counted = counted.group_by(place.c.user_id)
    if not patient:
        counted = counted.where(setting("lock_timeout", IMPATIENCE))
    steps = counted.cte("steps")
    ended = advancing(postgresql, steps).cte("ended")
    ordered = (
        select(place.c.user_id, (ended.c.head - place.c.after).label("seq"), *(said.c[n] for n in _OF_CONTENT))
        .join_from(place, ended, place.c.user_id == ended.c.user_id)
        .join(said, place.c.k == said.c.k)
        .order_by(place.c.ord)
        .subquery("ordered")
    )
    numbered = select(NEXT_ID.label("id"), *ordered.c).subquery("numbered")
    row = numbered.c
    stored = (
        insert(notifications)
        .from_select(_STORED, select(row.id, row.id, row.user_id, row.seq, *_content_columns(row)))
        .returning(notifications.c.user_id, notifications.c.seq, notifications.c.id)
        .cte("stored")
    )
    after = ended.c.head - stored.c.seq
    is_first = stored.c.seq == ended.c.head - steps.c.events + 1
    entry = {
        "user_id": stored.c.user_id,
        "seq": stored.c.seq,
        "kind": literal(NOTIFICATION),
        "notification_id": stored.c.id,
        "unread": ended.c.unread - after,
        "unseen": ended.c.unseen - after,
        "tag": TAG,
        "previous_tag": case((is_first, ended.c.previous_tag), else_=TAG),
        "created_at": NOW,
    }
    entries = (
        select(*entry.values())
        .join_from(stored, ended, stored.c.user_id == ended.c.user_id)
        .join(steps, stored.c.user_id == steps.c.user_id)
    )
    returned = (events.c[name] for name in ("notification_id", "seq", "unread", "unseen", "previous_tag"))
    return insert(events).from_select(list(entry), entries).returning(*returned)


def _content_columns(columns: Any) -> list[ColumnElement[Any]]:
    created_at = func.coalesce(columns.announced_at, NOW)
    return [created_at, columns.announcement_id, *(columns[name] for name in FIELDS)]


@cache
def _insert_notifications() -> Executable:
    said = rows("sqlite", "said", _SAID)
    place = rows("sqlite", "place", {**_PLACE, "seq": BigInteger(), "id": BigInteger()})
    columns = [place.c.id, place.c.id, place.c.user_id, place.c.seq, *_content_columns(said.c)]
    source = select(*columns).join_from(place, said, place.c.k == said.c.k)
    return insert(notifications).from_select(_STORED, source.order_by(place.c.ord))
