"""Announcements: a notification for everyone of a topic, stored once until a user takes it over (``take_over``)."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, case, delete, false, func, insert, select, text, update

from shirase.store import kept, tables
from shirase.store.advance import LATEST, streams
from shirase.store.sql import among
from shirase.types import Announcement, Draft

announcements = tables.Base.metadata.tables["shirase_announcements"]
notifications = tables.Base.metadata.tables["shirase_notifications"]
connections = tables.Base.metadata.tables["shirase_connections"]

# The advisory lock under which announcements are committed: ids have the order of commits, so no announcement appears
# below a user's mark.
_LOCK = text("SELECT pg_advisory_xact_lock(7163384711632545841)")
_ALIVE = announcements.c.retracted_at.is_(None)


def add(db: Connection, topic: str, draft: Draft, now: datetime, *, for_newcomers: bool) -> Announcement:
    """Store an announcement; other announcements wait until this transaction ends."""
    if db.dialect.name != "sqlite":
        db.execute(_LOCK)
    content = draft.content
    row = {"topic": topic, "for_newcomers": for_newcomers, "draft": kept.encode(draft), "key": content.key}
    adding = insert(announcements).values(**row, created_at=now, expires_at=content.expires_at)
    number: int = db.execute(adding.returning(announcements.c.id)).scalar_one()
    return Announcement(number, topic, draft, now, for_newcomers=for_newcomers)


def find(db: Connection, number: int) -> Announcement | None:
    """One announcement, unless it was retracted."""
    row = db.execute(select(announcements).where(announcements.c.id == number, _ALIVE)).one_or_none()
    return None if row is None else _with_counts(db, [row])[0]


def page(db: Connection, limit: int, before: int | None = None) -> list[Announcement]:
    """Announcements, the latest first."""
    query = select(announcements).where(_ALIVE)
    if before is not None:
        query = query.where(announcements.c.id < before)
    return _with_counts(db, db.execute(query.order_by(announcements.c.id.desc()).limit(limit)).all())


def contents(db: Connection, ids: Collection[int]) -> Mapping[int, Announcement]:
    """The announcements with these ids that are not retracted, locked against it until the transaction ends."""
    these = among(db.dialect.name, announcements.c.id, ids)
    query = select(announcements).where(these, _ALIVE).order_by(announcements.c.id)
    rows = db.execute(query.with_for_update(read=True, key_share=True))  # FOR KEY SHARE
    return {row.id: _announcement(row) for row in rows}


def retract(db: Connection, number: int, now: datetime) -> bool:
    """Stop users from taking it over; false if there is none. Waits for transactions that are taking it over."""
    return bool(_retract(db, now, announcements.c.id == number))


def retract_key(db: Connection, key: str, now: datetime) -> list[int]:
    """The same for all of a key; returns their ids."""
    return _retract(db, now, announcements.c.key == key)


def _retract(db: Connection, now: datetime, which: Any) -> list[int]:
    query = select(announcements.c.id).where(which, _ALIVE).order_by(announcements.c.id)
    ids = list(db.scalars(query.with_for_update()))
    if ids:
        these = among(db.dialect.name, announcements.c.id, ids)
        db.execute(update(announcements).where(these).values(retracted_at=now))
    return ids


def retracted(db: Connection, limit: int) -> list[int]:
    """Announcements that are retracted, and may still be in inboxes."""
    query = select(announcements.c.id).where(announcements.c.retracted_at.is_not(None))
    return list(db.scalars(query.order_by(announcements.c.id).limit(limit)))


def taken_over(db: Connection, number: int, limit: int) -> list[tuple[int, str]]:
    """Notifications of an announcement, as (id, user)."""
    query = select(notifications.c.id, notifications.c.user_id).where(notifications.c.announcement_id == number)
    return [
        (notification_id, user_id)
        for notification_id, user_id in db.execute(query.order_by(notifications.c.user_id).limit(limit))
    ]


def remove(db: Connection, number: int) -> None:
    """Delete a retracted announcement that is in no inbox any more."""
    gone = announcements.c.retracted_at.is_not(None)
    db.execute(delete(announcements).where(announcements.c.id == number, gone))


def remove_old(db: Connection, before: datetime, limit: int) -> int:
    """Delete announcements that were made before this time."""
    old = select(announcements.c.id).where(announcements.c.created_at < before)
    old = old.order_by(announcements.c.created_at).limit(limit)
    return cast(CursorResult[Any], db.execute(delete(announcements).where(announcements.c.id.in_(old)))).rowcount


def note_gone(db: Connection, rows: Iterable[Any]) -> None:
    """Count notifications that were deleted or replaced: their announcement reached these users nevertheless.

    ``rows`` have ``announcement_id`` and ``read_at``. The caller's users are locked; announcements come after them.
    """
    known = [(row.announcement_id, row.read_at is not None) for row in rows if row.announcement_id is not None]
    gone, read = Counter(number for number, _ in known), Counter(number for number, is_read in known if is_read)
    for number in sorted(gone):
        counts = {"gone": announcements.c.gone + gone[number], "gone_read": announcements.c.gone_read + read[number]}
        db.execute(update(announcements).where(announcements.c.id == number).values(**counts))


def spreading(db: Connection) -> list[int]:
    """Announcements that some connected user may lack."""
    query = select(announcements.c.id).where(announcements.c.spread_at.is_(None))
    return list(db.scalars(query.order_by(announcements.c.id)))


def mark_spread(db: Connection, ids: Collection[int], now: datetime) -> None:
    """Record that all connected users have these."""
    these = among(db.dialect.name, announcements.c.id, ids)
    db.execute(update(announcements).where(these).values(spread_at=now))


def spread_again(db: Connection, topic: str) -> None:
    """Have the relay spread a topic's announcements again, to connected users who have just joined it."""
    concerned = (announcements.c.topic == topic) & announcements.c.for_newcomers & _ALIVE
    db.execute(update(announcements).where(concerned).values(spread_at=None))


def behind(db: Connection, limit: int) -> list[tuple[str, bool]]:
    """Connected users who may lack an announcement, the most recently active first; and whether each has a log."""
    newest = func.coalesce(streams.c.topics_changed, false()) | (streams.c.announced < LATEST)
    state = _of_connected(case((newest, 1), else_=0))
    query = select(_CONNECTED.c.user_id, state.is_not(None)).where(func.coalesce(state, 1) == 1)
    rows = db.execute(query.order_by(_CONNECTED.c.last_seen.desc()).limit(limit))
    return [(user_id, bool(is_known)) for user_id, is_known in rows]


def waiting(db: Connection, number: int) -> int:
    """How many connected users have not considered an announcement; 0 once it is spread."""
    if db.execute(select(announcements.c.spread_at).where(announcements.c.id == number)).scalar_one_or_none():
        return 0
    considered = func.coalesce(_of_connected(streams.c.announced), 0)
    return db.execute(select(func.count()).select_from(_CONNECTED).where(considered < number)).scalar_one()


def lag(db: Connection) -> tuple[int, datetime | None]:
    """How many connected users lack an announcement, and when the oldest of those announcements was made."""
    if not spreading(db):
        return 0, None
    mark = case((streams.c.topics_changed, 0), else_=streams.c.announced)
    marks = select(func.coalesce(_of_connected(mark), 0).label("mark")).select_from(_CONNECTED).subquery()
    query = select(func.count(), func.min(marks.c.mark)).where(marks.c.mark < LATEST)
    users, lowest = db.execute(query).one()
    oldest = select(func.min(announcements.c.created_at)).where(
        announcements.c.spread_at.is_(None), announcements.c.id > (lowest or 0)
    )
    return users, db.execute(oldest).scalar_one() if users else None


_CONNECTED = (
    select(connections.c.user_id, func.max(connections.c.last_seen).label("last_seen"))
    .where(connections.c.ended_at.is_(None))
    .group_by(connections.c.user_id)
    .subquery("connected")
)


def _of_connected(value: Any) -> Any:
    """A column of a connected user's log, NULL without a log.

    A subquery, which is one index lookup a user: for a join, PostgreSQL reads the logs of all users.
    """
    return select(value).where(streams.c.user_id == _CONNECTED.c.user_id).correlate(_CONNECTED).scalar_subquery()


def _with_counts(db: Connection, rows: Sequence[Any]) -> list[Announcement]:
    these = among(db.dialect.name, notifications.c.announcement_id, [row.id for row in rows])
    counting = select(notifications.c.announcement_id, func.count(), func.count(notifications.c.read_at))
    counted = db.execute(counting.where(these).group_by(notifications.c.announcement_id))
    counts = {number: (reached, read) for number, reached, read in counted}
    shown = []
    for row in rows:
        reached, read = counts.get(row.id, (0, 0))
        shown.append(replace(_announcement(row), reached=reached + row.gone, read=read + row.gone_read))
    return shown


def _announcement(row: Any) -> Announcement:
    draft = kept.decode(row.draft, "")
    return Announcement(
        row.id, row.topic, draft, row.created_at, for_newcomers=row.for_newcomers, spread_at=row.spread_at
    )
