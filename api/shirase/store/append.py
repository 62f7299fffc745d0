"""Appending new notifications to logs.

It takes one statement on PostgreSQL and three on SQLite, where a statement can change only one table.
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

# Ids and list positions share one sequence: the position of a new notification is its id.
NEXT_ID = IdSequence("shirase_notifications_id_seq").next_value()

# Statements are built once: building one takes 20 times as long as running it.
CONTENT = {name: column_type(field) for name, field in FIELDS.items()}
_PLACE = {"user_id": UserId, "k": Integer(), "ord": Integer()}
_STORED = ("id", "position", "user_id", "seq", "created_at", "announcement_id", *FIELDS)
_CONTENT_ROW = {"k": Integer(), "announced_at": Moment(), "announcement_id": BigInteger(), **CONTENT}
_OF_CONTENT = [name for name in _CONTENT_ROW if name != "k"]


def append_notifications(
    db: Connection, drafts: Sequence[Draft], now: datetime, *, patient: bool = True
) -> list[Event]:
    """Store notifications and their events, in order. The number of round trips does not depend on how many.

    Args:
        db: a write transaction; on PostgreSQL a ``single_statement`` one is enough.
        drafts: the notifications.
        now: their time of creation.
        patient: wait for locked logs up to the timeout; else fail after ``IMPATIENCE`` (``RowsLocked``).
    """
    contents: dict[int, tuple[int, Draft]] = {}
    remaining = Counter(draft.user_id for draft in drafts)
    places: list[dict[str, Any]] = []
    for order, draft in enumerate(drafts):
        k, _ = contents.setdefault(id(draft.content), (len(contents), draft))
        remaining[draft.user_id] -= 1
        places.append({"user_id": draft.user_id, "after": remaining[draft.user_id], "k": k, "ord": order})
    content_rows = document(_content_row_of(k, draft) for k, draft in contents.values())
    tag = new_tag()
    if db.dialect.name == "sqlite":  # it has one writer at a time, so ``patient`` means nothing
        return _append_on_sqlite(db, drafts, places, content_rows, tag, now)
    appended = []
    parameters = {"place": document(places), "said": content_rows, "tag": tag, "now": now}
    stored = sorted(map(tuple, db.execute(_append_at_once(patient=patient), parameters)))  # ids follow the places
    for draft, (number, seq, unread, unseen, previous_tag) in zip(drafts, stored, strict=True):
        ids = EventId(seq, tag), EventId(seq - 1, previous_tag)
        appended.append(_event(draft, number, ids, (unread, unseen), now))
    return appended


def _content_row_of(k: int, draft: Draft) -> dict[str, Any]:
    row = {"k": k, **content_row(draft.content)}
    if draft.announcement_id is not None and draft.created_at:
        row |= {"announcement_id": draft.announcement_id, "announced_at": rfc3339(draft.created_at)}
    return row


def content_row(content: Content) -> dict[str, Any]:
    """The columns of a content as a row for ``sql.document``, without NULLs."""
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


def _append_on_sqlite(
    db: Connection,
    drafts: Sequence[Draft],
    places: Sequence[dict[str, Any]],
    content_rows: str,
    tag: str,
    now: datetime,
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
    db.execute(_insert_notifications(), {"said": content_rows, "place": document(places), "now": now})
    insert_events(db, appended, now)
    return appended


@cache
def _append_at_once(*, patient: bool) -> Executable:
    contents = rows("postgresql", "said", _CONTENT_ROW)
    parameter = rows("postgresql", "place", {**_PLACE, "after": BigInteger()})
    place = select(parameter).cte("places")  # as a CTE it is parsed once, although it is used twice
    each = func.count()
    counted = select(place.c.user_id, each.label("events"), each.label("unread"), each.label("unseen"))
    counted = counted.group_by(place.c.user_id)
    if not patient:
        counted = counted.where(setting("lock_timeout", IMPATIENCE))
    steps = counted.cte("steps")
    ended = advancing(postgresql, steps).cte("ended")
    ordered = (
        select(place.c.user_id, (ended.c.head - place.c.after).label("seq"), *(contents.c[n] for n in _OF_CONTENT))
        .join_from(place, ended, place.c.user_id == ended.c.user_id)
        .join(contents, place.c.k == contents.c.k)
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
    contents = rows("sqlite", "said", _CONTENT_ROW)
    place = rows("sqlite", "place", {**_PLACE, "seq": BigInteger(), "id": BigInteger()})
    columns = [place.c.id, place.c.id, place.c.user_id, place.c.seq, *_content_columns(contents.c)]
    source = select(*columns).join_from(place, contents, place.c.k == contents.c.k)
    return insert(notifications).from_select(_STORED, source.order_by(place.c.ord))
