"""The inbox: a user's notifications as REST lists them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select

from shirase.store import log, tables
from shirase.store.tables import content_of
from shirase.types import Notification

notifications = tables.Base.metadata.tables["shirase_notifications"]
streams = tables.Base.metadata.tables["shirase_streams"]

STATE = ("created_at", "read_at", "archived_at", "announcement_id", *log.CHANGING)


MOST_WORDS = 8  # of a search; each is compared with every text of the inbox


def page(
    db: Connection,
    user_id: str,
    now: datetime,
    *,
    limit: int,
    before: int | None = None,
    unread: bool | None = None,
    type_: str | None = None,
    category: str | None = None,
    archived: bool = False,
    words: str | None = None,
) -> list[Notification]:
    """A user's notifications below the position ``before``, by descending position."""
    read_at, archived_at = notifications.c.read_at, notifications.c.archived_at
    query = _visible(user_id, now).where(archived_at.is_not(None) if archived else archived_at.is_(None))
    if before is not None:
        query = query.where(notifications.c.position < before)
    if unread is not None:
        query = query.where(read_at.is_(None) if unread else read_at.is_not(None))
    if type_ is not None:
        query = query.where(notifications.c.type == type_)
    if category is not None:
        query = query.where(notifications.c.category == category)
    for word in list(dict.fromkeys((words or "").split()))[:MOST_WORDS]:
        query = query.where(or_(*(text.icontains(word, autoescape=True) for text in _TEXTS)))
    rows = db.execute(query.order_by(notifications.c.position.desc()).limit(limit))
    return [notification_of(row) for row in rows]


def get(db: Connection, user_id: str, number: int, now: datetime) -> Notification | None:
    """One of a user's notifications."""
    row = db.execute(_visible(user_id, now).where(notifications.c.id == number)).one_or_none()
    return None if row is None else notification_of(row)


def unread_by_category(db: Connection, user_id: str, now: datetime) -> Mapping[str, int]:
    """The number of unread notifications by category; categories without any are left out."""
    rows = db.execute(
        select(notifications.c.category, func.count())
        .where(notifications.c.user_id == user_id, log.COUNTED, notifications.c.category.is_not(None), _alive(now))
        .group_by(notifications.c.category)
        .order_by(notifications.c.category)
    )
    return {category: count for category, count in rows}  # noqa: C416 - rows are pairs


def notification_of(row: Any) -> Notification:
    """Make a ``Notification`` of a row. ``seen`` is the position up to which its user has seen everything, if known."""
    seen = getattr(row, "seen", None) or 0
    is_seen = row.read_at is not None or row.position <= seen
    state = {name: getattr(row, name) for name in STATE}
    return Notification(row.id, row.user_id, content_of(row), **state, is_seen=is_seen)


_TEXTS = (notifications.c.title, notifications.c.message)


def _alive(now: datetime) -> ColumnElement[bool]:
    return or_(notifications.c.expires_at.is_(None), notifications.c.expires_at > now)


def _visible(user_id: str, now: datetime) -> Select[Any]:
    return (
        select(notifications, streams.c.seen)
        .join(streams, streams.c.user_id == notifications.c.user_id, isouter=True)
        .where(notifications.c.user_id == user_id, _alive(now))
    )
