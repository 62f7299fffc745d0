"""Appending new notifications to logs, unless their users have muted them, and their deliveries.

It takes one statement on PostgreSQL and three on SQLite, where a statement can change only one table; a fourth there
inserts deliveries, if the type has a policy. The same statement reads the preferences, so that none is outdated.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Connection,
    Executable,
    FromClause,
    Integer,
    case,
    func,
    insert,
    literal,
    literal_column,
    select,
)
from sqlalchemy import Sequence as IdSequence
from sqlalchemy.dialects import postgresql, sqlite

from shirase.fields import FIELDS, Content, rfc3339
from shirase.store import tables
from shirase.store.advance import IMPATIENCE, NOW, TAG, End, advancing, insert_events, new_tag
from shirase.store.rules import in_inbox, planning
from shirase.store.sql import constant, document, rows, setting
from shirase.store.tables import Moment, UserId, column_type
from shirase.types import NOTIFICATION, Draft, Event, EventId, Notification

events = tables.Base.metadata.tables["shirase_events"]
notifications = tables.Base.metadata.tables["shirase_notifications"]
types = tables.Base.metadata.tables["shirase_types"]

# Ids and list positions share one sequence: the position of a new notification is its id.
NEXT_ID = IdSequence("shirase_notifications_id_seq").next_value()

# Statements are built once: building one takes 20 times as long as running it.
CONTENT = {name: column_type(field) for name, field in FIELDS.items()}
_PLACE = {"user_id": UserId, "k": Integer(), "ord": Integer()}
_STORED = ("id", "position", "user_id", "seq", "created_at", "announcement_id", *FIELDS)
_CONTENT_ROW = {"k": Integer(), "announced_at": Moment(), "announcement_id": BigInteger(), **CONTENT}


def append_notifications(
    db: Connection, drafts: Sequence[Draft], now: datetime, *, patient: bool = True
) -> list[Event | None]:
    """Store notifications and their events, in order; ``None`` for each that is muted.

    The number of round trips does not depend on how many.

    Args:
        db: a write transaction; on PostgreSQL a ``single_statement`` one is enough.
        drafts: the notifications.
        now: their time of creation.
        patient: wait for locked logs up to the timeout; else fail after ``IMPATIENCE`` (``RowsLocked``).
    """
    contents: dict[int, tuple[int, Draft]] = {}
    places: list[dict[str, Any]] = []
    for order, draft in enumerate(drafts):
        k, _ = contents.setdefault(id(draft.content), (len(contents), draft))
        places.append({"user_id": draft.user_id, "k": k, "ord": order})
    content_rows = document(_content_row_of(k, draft) for k, draft in contents.values())
    tag = new_tag()
    parameters = {"place": document(places), "drafts": content_rows, "tag": tag, "now": now}
    if db.dialect.name == "sqlite":  # it has one writer at a time, so ``patient`` means nothing
        return _append_on_sqlite(db, drafts, places, parameters)
    stored = sorted(map(tuple, db.execute(_append_at_once(patient=patient), parameters).all()))  # ids follow the places
    muted = _muted(len(drafts), (row[-1] for row in stored))
    appended: list[Event | None] = [None] * len(drafts)
    kept = [order for order in range(len(drafts)) if order not in muted]
    for order, (number, seq, unread, unseen, previous_tag, _) in zip(kept, stored, strict=True):
        ids = EventId(seq, tag), EventId(seq - 1, previous_tag)
        appended[order] = _event(drafts[order], number, ids, (unread, unseen), now)
    return appended


def _muted(count: int, reported: Iterable[str | None]) -> Collection[int]:
    """The indices of muted drafts, which one row reports (``_report``); without any row all are muted."""
    rows = list(reported)
    if not rows:
        return range(count)
    return set(orjson.loads(next(report for report in rows if report is not None)))


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
    db: Connection, drafts: Sequence[Draft], places: Sequence[dict[str, Any]], parameters: dict[str, Any]
) -> list[Event | None]:
    rows = db.execute(_advance_on_sqlite(), parameters).all()
    muted = _muted(len(drafts), (row[-2] for row in rows))
    ends = {user_id: End(*end) for user_id, *end, _, _ in rows}
    remaining = Counter(draft.user_id for order, draft in enumerate(drafts) if order not in muted)
    counts = Counter(remaining)
    kept: list[dict[str, Any]] = []
    appended: list[Event | None] = [None] * len(drafts)
    tag, now = parameters["tag"], parameters["now"]
    for order, (draft, place) in enumerate(zip(drafts, places, strict=True)):
        if order in muted:
            continue
        end = ends[draft.user_id]
        remaining[draft.user_id] -= 1
        after = remaining[draft.user_id]
        number = end.last_id + len(kept) + 1
        kept.append(place | {"id": number, "seq": end.head - after})
        is_first = after == counts[draft.user_id] - 1
        ids = EventId(end.head - after, tag), EventId(end.head - after - 1, end.previous_tag if is_first else tag)
        appended[order] = _event(draft, number, ids, (end.unread - after, end.unseen - after), now)
    if kept:
        parameters = parameters | {"place": document(kept)}
        db.execute(_insert_notifications(), {name: parameters[name] for name in ("drafts", "place", "now")})
        insert_events(db, [event for event in appended if event], now)
    if any(row[-1] for row in rows):
        db.execute(_insert_deliveries(), parameters)
    return appended


def _places(place: FromClause, contents: FromClause) -> tuple[CTE, CTE]:
    """The places of notifications that are stored, and of those that their users have muted."""
    columns = {"user_id": place.c.user_id, "type_": contents.c.type, "category": contents.c.category, "entry": types.c}
    judged = (
        select(place.c.user_id, place.c.k, place.c.ord, in_inbox(**columns).label("stored"))
        .join_from(place, contents, place.c.k == contents.c.k)
        .outerjoin(types, types.c.type == contents.c.type)
        .cte("judged")
    )
    user, latest_first = judged.c.user_id, judged.c.ord.desc()
    number = func.row_number().over(partition_by=user, order_by=latest_first)
    after = (number - constant(1)).label("after")  # how many of the user's follow
    earlier = func.lead(judged.c.ord).over(partition_by=user, order_by=latest_first)
    is_first = earlier.is_(None).label("is_first")
    kept = select(user, judged.c.k, judged.c.ord, after, is_first).where(judged.c.stored).cte("kept")
    return kept, select(judged.c.ord).where(~judged.c.stored).cte("muted")


def _report(as_array: str) -> ColumnElement[Any]:
    """The places of what is muted, as JSON, in the row of one user only: there may be thousands of both.

    It is text, since SQLAlchemy leaves out the names of tables in what SQLite returns, also in subqueries.
    """
    places = f"coalesce((SELECT CAST({as_array}(ord) AS text) FROM muted), '[]')"  # noqa: S608 - ours
    return literal_column(f"CASE WHEN user_id = (SELECT max(user_id) FROM kept) THEN {places} END")  # noqa: S608


def _steps(kept: CTE, *conditions: ColumnElement[bool]) -> CTE:
    each = kept.c.after + constant(1)
    counted = select(kept.c.user_id, each.label("events"), each.label("unread"), each.label("unseen"))
    return counted.where(kept.c.is_first, *conditions).cte("steps")


@cache
def _append_at_once(*, patient: bool) -> Executable:
    # As CTEs the parameters are parsed once, although they are used twice.
    contents = select(rows("postgresql", "drafts", _CONTENT_ROW)).cte("contents")
    place = rows("postgresql", "place", _PLACE)
    kept, muted = _places(place, contents)
    steps = _steps(kept, *([] if patient else [setting("lock_timeout", IMPATIENCE)]))
    ended = advancing(postgresql, steps).cte("ended")
    end, after = ended.c, kept.c.after
    entry = {
        "seq": end.head - after,
        "unread": end.unread - after,
        "unseen": end.unseen - after,
        "previous_tag": case((kept.c.is_first, end.previous_tag), else_=TAG),
    }
    ordered = (
        select(kept.c.user_id, kept.c.k, *(value.label(name) for name, value in entry.items()))
        .join_from(kept, ended, kept.c.user_id == end.user_id)
        .order_by(kept.c.ord)
        .subquery("ordered")
    )
    # The contents are joined afterwards: they may be long, and would be sorted and kept once for each user.
    numbered = select(NEXT_ID.label("id"), *ordered.c).cte("numbered")
    row = numbered.c
    notification = (row.id, row.id, row.user_id, row.seq, *_content_columns(contents.c))
    with_contents = select(*notification).join_from(numbered, contents, row.k == contents.c.k)
    stored = insert(notifications).from_select(_STORED, with_contents).cte("stored")
    planned = (
        select(row.id, row.user_id, contents.c.type, contents.c.category)
        .join_from(numbered, contents, row.k == contents.c.k)
        .subquery("planned")
    )
    fixed = {"kind": literal(NOTIFICATION), "tag": TAG, "created_at": NOW}
    entries = select(row.user_id, row.id, *(row[name] for name in entry), *fixed.values())
    appending = insert(events).from_select(["user_id", "notification_id", *entry, *fixed], entries)
    returned = (events.c[name] for name in ("notification_id", "seq", "unread", "unseen", "previous_tag"))
    appending = appending.returning(*returned, _report("json_agg"))
    return appending.add_cte(muted, stored, planning("postgresql", planned).cte("deliveries"))


@cache
def _advance_on_sqlite() -> Executable:
    contents, place = rows("sqlite", "drafts", _CONTENT_ROW), rows("sqlite", "place", _PLACE)
    kept, muted = _places(place, contents)
    is_planned = "EXISTS (SELECT 1 FROM shirase_policies WHERE type IN (SELECT type FROM drafts))"
    statement = advancing(sqlite, _steps(kept), _report("json_group_array"), literal_column(is_planned))
    advanced: Executable = statement.add_cte(muted)
    return advanced


@cache
def _insert_deliveries() -> Executable:
    contents = rows("sqlite", "drafts", _CONTENT_ROW)
    place = rows("sqlite", "place", {**_PLACE, "id": BigInteger()})
    stored = select(place.c.user_id, place.c.id, contents.c.type, contents.c.category)
    return planning("sqlite", stored.join_from(place, contents, place.c.k == contents.c.k).subquery("stored"))


def _content_columns(columns: Any) -> list[ColumnElement[Any]]:
    created_at = func.coalesce(columns.announced_at, NOW)
    return [created_at, columns.announcement_id, *(columns[name] for name in FIELDS)]


@cache
def _insert_notifications() -> Executable:
    contents = rows("sqlite", "drafts", _CONTENT_ROW)
    place = rows("sqlite", "place", {**_PLACE, "seq": BigInteger(), "id": BigInteger()})
    columns = [place.c.id, place.c.id, place.c.user_id, place.c.seq, *_content_columns(contents.c)]
    source = select(*columns).join_from(place, contents, place.c.k == contents.c.k)
    return insert(notifications).from_select(_STORED, source.order_by(place.c.ord))
