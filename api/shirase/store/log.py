"""The log: one append-only sequence of events a user.

Appending bumps ``streams.head`` under that row's lock and inserts the event with ``seq = head`` in the transaction of
the change itself. So ``seq`` follows the order of commits, a user's log has no gaps, and a reader at ``seq`` n has
read every earlier event. An ordinary auto-increment id guarantees none of these.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Connection,
    Executable,
    FromClause,
    Select,
    String,
    and_,
    bindparam,
    case,
    false,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from shirase.fields import FIELDS
from shirase.store import tables
from shirase.store.advance import LATEST
from shirase.store.sql import among, among_listed, document, listed, rows, setting
from shirase.store.tables import Moment, UserId, content_of
from shirase.types import UPDATED, Event, EventId, Notification, Position

streams = tables.Base.metadata.tables["shirase_streams"]
events = tables.Base.metadata.tables["shirase_events"]
notifications = tables.Base.metadata.tables["shirase_notifications"]
connections = tables.Base.metadata.tables["shirase_connections"]

MOST_COUNTED = 100_000
CHANGING = ("position", "revision", "updated_at", "count", "actors")  # columns that are read along with the content

# Statements of every create and connect are built once: building one takes 20 times as long as running it.
_NOW = bindparam("now", type_=Moment())
# The rows in the unread count. It still includes expired rows that are not removed yet (``hidden``).
COUNTED = and_(notifications.c.read_at.is_(None), notifications.c.archived_at.is_(None))
_HIDDEN = select(func.count()).where(
    notifications.c.user_id == bindparam("user_id"), COUNTED, notifications.c.expires_at <= _NOW
)
_HIDDEN_UNSEEN = _HIDDEN.where(notifications.c.position > streams.c.seen).correlate(streams)
_KNOWN_CLAIM = func.coalesce(streams.c.claimed, "")
# Whether there may be an announcement for the user that has not been considered yet.
HAS_NEWS = or_(
    func.coalesce(streams.c.announced, 0) < LATEST,
    func.coalesce(streams.c.topics_changed, false()),
    func.coalesce(bindparam("claimed", type_=String()), _KNOWN_CLAIM) != _KNOWN_CLAIM,
)
# The columns of ``Position``; parameters: ``user_id``, ``now`` and ``claimed``.
POSITION = (
    streams.c.head,
    streams.c.unread - _HIDDEN.scalar_subquery(),
    streams.c.tag,
    streams.c.unseen - _HIDDEN_UNSEEN.scalar_subquery(),
    HAS_NEWS,
)
SINGLE_ROW = select(literal(1).label("one")).subquery()  # to join tables that may have no matching row
OF_USER = streams.c.user_id == bindparam("user_id")
_POSITION = select(*POSITION).select_from(SINGLE_ROW.outerjoin(streams, OF_USER))


def lock(db: Connection, user_ids: Sequence[str], patience: str | None = None) -> dict[str, int]:
    """Lock the logs of these users; always before their notifications, so that locks are taken in one order.

    Args:
        db: a transaction that writes.
        user_ids: users without a log are skipped.
        patience: PostgreSQL's ``lock_timeout`` for the rest of the transaction; by default the session's.

    Returns:
        For each user the list position up to which everything is seen.
    """
    dialect = db.dialect.name
    result = db.execute(_lock(dialect, patience), {"users": listed(dialect, user_ids)})
    return {user_id: seen for user_id, seen in result}  # noqa: C416 - rows are pairs


@cache
def _lock(dialect: str, patience: str | None) -> Executable:
    query = select(streams.c.user_id, streams.c.seen).where(among_listed(dialect, streams.c.user_id, "users"))
    if patience and dialect != "sqlite":
        query = query.where(setting("lock_timeout", patience))
    return query.order_by(streams.c.user_id).with_for_update()


def hidden(db: Connection, user_ids: Sequence[str], now: datetime) -> dict[str, tuple[int, int]]:
    """By user: how many unread and unseen notifications have expired, but are not removed from the counts yet."""
    dialect = db.dialect.name
    result = db.execute(_hidden(dialect), {"users": listed(dialect, user_ids), "now": now})
    return {user_id: (int(unread), int(unseen)) for user_id, unread, unseen in result}


@cache
def _hidden(dialect: str) -> Executable:
    is_unseen = case((notifications.c.position > streams.c.seen, 1), else_=0)
    return (
        select(notifications.c.user_id, func.count(), func.sum(is_unseen))
        .join(streams, streams.c.user_id == notifications.c.user_id)
        .where(among_listed(dialect, notifications.c.user_id, "users"), COUNTED, notifications.c.expires_at <= _NOW)
        .group_by(notifications.c.user_id)
    )


def position(db: Connection, user_id: str, now: datetime, claimed: str | None = None) -> Position:
    """The position of a user's log; zero for a user without one.

    ``claimed`` is the digest of the topics in the user's token (``topics.digest``); ``None`` if it has no such claim.
    """
    return read_position(*db.execute(_POSITION, {"user_id": user_id, "now": now, "claimed": claimed}).one())


def read_position(head: int | None, unread: int | None, tag: str | None, unseen: int | None, has_news: Any) -> Position:
    """Make a ``Position`` of the columns of ``POSITION``, which are NULL for a user without a log."""
    return Position(head or 0, unread or 0, tag or "", unseen or 0, bool(has_news), is_known=head is not None)


def read_events(db: Connection, user_id: str, first: int, last: int, limit: int, now: datetime) -> list[Event]:
    """Events ``first`` to ``last``, inclusive, in order, at most ``limit``.

    ``last`` must come from ``position``, in this transaction or earlier: everything up to a head that was read has
    been committed.
    """
    parameters = {"user_id": user_id, "first": first, "last": last, "limit": limit, "now": now}
    return [_event(row) for row in db.execute(_missed(), parameters)]


@cache
def _missed() -> Executable:
    between = and_(events.c.seq >= bindparam("first"), events.c.seq <= bindparam("last"))
    query = _with_notifications().where(events.c.user_id == bindparam("user_id"), between)
    return query.order_by(events.c.seq).limit(bindparam("limit", type_=BigInteger()))


def latest(db: Connection, user_ids: Sequence[str], now: datetime) -> list[Event]:
    """The newest event of each user's log, unless it has been removed."""
    query = _with_notifications().join(
        streams, and_(streams.c.user_id == events.c.user_id, streams.c.head == events.c.seq)
    )
    of_users = among(db.dialect.name, streams.c.user_id, user_ids)
    return [_event(row) for row in db.execute(query.where(of_users), {"now": now})]


def unpublished(
    db: Connection, after: tuple[str, int], limit: int, now: datetime, rest: timedelta = timedelta()
) -> list[Event]:
    """Events that no proxy has accepted yet, ordered by user and ``seq``, after ``after``.

    Events younger than ``rest`` are skipped. Events from the future are not: another host's clock is ahead.
    """
    # A row comparison lets the index scan begin at ``after``; two comparisons joined by OR do not. LIMIT is applied
    # before the join, because after a long outage the planner still expects next to no unpublished rows.
    waiting = select(events).where(
        events.c.published_at.is_(None), tuple_(events.c.user_id, events.c.seq) > tuple_(*after)
    )
    if rest:
        waiting = waiting.where(or_(events.c.created_at <= now - rest, events.c.created_at > now))
    picked = waiting.order_by(events.c.user_id, events.c.seq).limit(limit).subquery("waiting")
    query = _with_notifications(picked).order_by(picked.c.user_id, picked.c.seq)
    return [_event(row) for row in db.execute(query, {"now": now})]


def outbox(db: Connection) -> tuple[int, datetime | None]:
    """The number of events that no proxy has accepted yet, and the time of the oldest.

    It reads at most ``MOST_COUNTED`` rows, which bounds the cost after a long outage.
    """
    waiting = select(events.c.created_at).where(events.c.published_at.is_(None)).limit(MOST_COUNTED).subquery()
    count, oldest = db.execute(select(func.count(), func.min(waiting.c.created_at))).one()
    return int(count), oldest


def unpublished_among(db: Connection, places: Collection[tuple[str, int]], now: datetime) -> list[Event]:
    """Those of the events at these (user, seq) that are committed and that no proxy has accepted yet."""
    values = [{"user_id": user_id, "seq": seq} for user_id, seq in places]
    place = rows(_dialect(db), "places", {"user_id": UserId, "seq": BigInteger()})
    same_place = and_(events.c.user_id == place.c.user_id, events.c.seq == place.c.seq)
    of_users = among(_dialect(db), events.c.user_id, {user_id for user_id, _ in places})
    query = _with_notifications().join(place, same_place).where(of_users, events.c.published_at.is_(None))
    query = query.order_by(events.c.user_id, events.c.seq)
    return [_event(row) for row in db.execute(query, {"places": document(values), "now": now})]


def _dialect(db: Connection) -> str:
    return db.dialect.name


def _with_notifications(source: FromClause = events) -> Select[Any]:
    """Events, each joined with its notification unless that has expired (parameter ``now``) or been removed."""
    alive = or_(notifications.c.expires_at.is_(None), notifications.c.expires_at > _NOW)
    # The user too, so that the join stays in one partition.
    same = and_(notifications.c.id == source.c.notification_id, notifications.c.user_id == source.c.user_id)
    return select(
        *(source.c[name] for name in ("user_id", "seq", "tag", "previous_tag", "kind", "unread", "unseen", "data")),
        source.c.created_at.label("happened_at"),
        *(notifications.c[name] for name in ("id", *FIELDS, *CHANGING)),
        notifications.c.created_at,
    ).join_from(source, notifications, and_(same, alive), isouter=True)


def _event(row: Any) -> Event:
    own, previous = EventId(row.seq, row.tag), EventId(row.seq - 1, row.previous_tag)
    stored = None
    is_superseded = row.id is not None and row.kind == UPDATED and orjson.loads(row.data)["revision"] < row.revision
    if row.id is not None and not is_superseded:
        # The current content with the initial state: a later event reports that it was read.
        stored = Notification(
            row.id, row.user_id, content_of(row), row.created_at, **{name: getattr(row, name) for name in CHANGING}
        )
    return Event(row.user_id, own, previous, row.kind, row.unread, row.happened_at, row.data, stored, row.unseen)
