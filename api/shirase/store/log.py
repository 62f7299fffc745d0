"""The log: one append-only sequence of events a user.

Appending bumps ``streams.head`` under that row's lock and inserts the event with ``seq = head`` in the transaction of
the change itself. So the order of commit is the order of ``seq``, a user's log has no gaps, and a reader that has
seen ``seq`` n has seen all before it. An ordinary auto-increment id promises neither.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Connection,
    Executable,
    FromClause,
    Integer,
    Select,
    String,
    Text,
    and_,
    bindparam,
    case,
    false,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from shirase.fields import FIELDS
from shirase.store import tables
from shirase.store.advance import LATEST
from shirase.store.sql import among, document, rows, setting
from shirase.store.tables import Moment, Tag, UserId, content_of
from shirase.types import UPDATED, Event, EventId, Notification, Position, Published

streams = tables.Base.metadata.tables["shirase_streams"]
events = tables.Base.metadata.tables["shirase_events"]
notifications = tables.Base.metadata.tables["shirase_notifications"]
connections = tables.Base.metadata.tables["shirase_connections"]

MOST_COUNTED = 100_000
CHANGING = ("position", "revision", "updated_at", "count", "actors")  # columns that go with the content

# Statements that every create and connect runs are built once: to build one takes 20 times as long as to run it.
_NOW = bindparam("now", type_=Moment())
# What is counted as unread; whatever of it has expired waits for its removal, and is hidden.
COUNTED = and_(notifications.c.read_at.is_(None), notifications.c.archived_at.is_(None))
_HIDDEN = select(func.count()).where(
    notifications.c.user_id == bindparam("user_id"), COUNTED, notifications.c.expires_at <= _NOW
)
_HIDDEN_UNSEEN = _HIDDEN.where(notifications.c.position > streams.c.seen).correlate(streams)
_KNOWN_CLAIM = func.coalesce(streams.c.claimed, "")
# Whether an announcement may concern the user that was not considered yet.
HAS_NEWS = or_(
    func.coalesce(streams.c.announced, 0) < LATEST,
    func.coalesce(streams.c.topics_changed, false()),
    func.coalesce(bindparam("claimed", type_=String()), _KNOWN_CLAIM) != _KNOWN_CLAIM,
)
# Of a log; takes ``user_id``, ``now`` and ``claimed``.
POSITION = (
    streams.c.head,
    streams.c.unread - _HIDDEN.scalar_subquery(),
    streams.c.tag,
    streams.c.unseen - _HIDDEN_UNSEEN.scalar_subquery(),
    HAS_NEWS,
)
ONE = select(literal(1).label("one")).subquery()  # one row, also where nothing joins it
OF_USER = streams.c.user_id == bindparam("user_id")
_POSITION = select(*POSITION).select_from(ONE.outerjoin(streams, OF_USER))


def lock(db: Connection, user_ids: Sequence[str], patience: str | None = None) -> dict[str, int]:
    """Lock the logs of these users before their notifications are touched: the one order in which locks are taken.

    Args:
        db: a transaction that writes.
        user_ids: those who have no log yet are passed over.
        patience: how long PostgreSQL waits for a lock in this transaction from now on, if not as long as it may.

    Returns:
        For each user the position in the list up to which everything is seen.
    """
    wanted = select(streams.c.user_id, streams.c.seen).where(among(db.dialect.name, streams.c.user_id, user_ids))
    if patience and db.dialect.name != "sqlite":
        wanted = wanted.where(setting("lock_timeout", patience))
    found = db.execute(wanted.order_by(streams.c.user_id).with_for_update())
    return {user_id: seen for user_id, seen in found}  # noqa: C416 - rows are pairs


def hidden(db: Connection, user_ids: Sequence[str], now: datetime) -> dict[str, tuple[int, int]]:
    """How many of each user's unread and unseen have expired and wait for their removal: they do not count any more."""
    is_unseen = case((notifications.c.position > streams.c.seen, 1), else_=0)
    found = db.execute(
        select(notifications.c.user_id, func.count(), func.sum(is_unseen))
        .join(streams, streams.c.user_id == notifications.c.user_id)
        .where(among(db.dialect.name, notifications.c.user_id, user_ids), COUNTED)
        .where(notifications.c.expires_at <= now)
        .group_by(notifications.c.user_id)
    )
    return {user_id: (int(unread), int(unseen)) for user_id, unread, unseen in found}


def position(db: Connection, user_id: str, now: datetime, claimed: str | None = None) -> Position:
    """Where a log stands; a user who never got anything stands at the start.

    ``claimed`` is the digest of the topics that the user's token names, if it names any (``topics.digest``).
    """
    return read_position(*db.execute(_POSITION, {"user_id": user_id, "now": now, "claimed": claimed}).one())


def read_position(head: int | None, unread: int | None, tag: str | None, unseen: int | None, has_news: Any) -> Position:
    """The columns of ``POSITION``, which are NULL for a user without a log."""
    return Position(head or 0, unread or 0, tag or "", unseen or 0, bool(has_news), is_known=head is not None)


def read_events(db: Connection, user_id: str, first: int, last: int, limit: int, now: datetime) -> list[Event]:
    """Events ``first`` to ``last``, both included, in order, ``limit`` at the most.

    A reader that takes ``last`` from ``position`` in the same transaction or before sees no event half-way: what is
    at or below a head that was read has been committed.
    """
    found = _with_notifications(now).where(events.c.user_id == user_id, events.c.seq >= first, events.c.seq <= last)
    return [_event(row) for row in db.execute(found.order_by(events.c.seq).limit(limit))]


def latest(db: Connection, user_ids: Sequence[str], now: datetime) -> list[Event]:
    """The event at the head of each of these users' logs, where it is still kept."""
    found = _with_notifications(now).join(
        streams, and_(streams.c.user_id == events.c.user_id, streams.c.head == events.c.seq)
    )
    these = among(db.dialect.name, streams.c.user_id, user_ids)
    return [_event(row) for row in db.execute(found.where(these))]


def unpublished(
    db: Connection, after: tuple[str, int], limit: int, now: datetime, rest: timedelta = timedelta()
) -> list[Event]:
    """What no proxy has accepted yet, in the order of users and of their logs, beginning behind ``after``.

    What is younger than ``rest`` is passed over. What is from the future is not: another host's clock is ahead.
    """
    # As one comparison of rows it tells where in the index to begin, which an OR of two does not. And it is limited
    # before it is joined: after a long outage the database's statistics still say that next to nothing is unpublished.
    waiting = select(events).where(
        events.c.published_at.is_(None), tuple_(events.c.user_id, events.c.seq) > tuple_(*after)
    )
    if rest:
        waiting = waiting.where(or_(events.c.created_at <= now - rest, events.c.created_at > now))
    picked = waiting.order_by(events.c.user_id, events.c.seq).limit(limit).subquery("waiting")
    found = _with_notifications(now, picked).order_by(picked.c.user_id, picked.c.seq)
    return [_event(row) for row in db.execute(found)]


def outbox(db: Connection) -> tuple[int, datetime | None]:
    """How many events no proxy has accepted yet, and since when the oldest of them waits.

    No more than ``MOST_COUNTED`` are looked at, so that a long outage does not make the question dear.
    """
    waiting = select(events.c.created_at).where(events.c.published_at.is_(None)).limit(MOST_COUNTED).subquery()
    count, oldest = db.execute(select(func.count(), func.min(waiting.c.created_at))).one()
    return int(count), oldest


def unpublished_among(db: Connection, places: Iterable[tuple[str, int]], now: datetime) -> list[Event]:
    """What no proxy has accepted yet of these (user, seq), as far as it has been committed."""
    values = [{"user_id": user_id, "seq": seq} for user_id, seq in places]
    place = rows(_dialect(db), "places", {"user_id": UserId, "seq": BigInteger()})
    at = and_(events.c.user_id == place.c.user_id, events.c.seq == place.c.seq)
    found = _with_notifications(now).join(place, at).where(events.c.published_at.is_(None))
    found = found.order_by(events.c.user_id, events.c.seq)
    return [_event(row) for row in db.execute(found, {"places": document(values)})]


def mark_published(
    db: Connection, published: Iterable[Published], now: datetime, *, way: str, committed_at: datetime | None
) -> None:
    """Take events out of the outbox, and note how they went."""
    alike: dict[tuple[frozenset[str], int], list[dict[str, Any]]] = {}
    for one in published:
        place = {"user_id": one.event.user_id, "seq": one.event.seq, "tag": one.event.id.tag}
        alike.setdefault((one.nodes, one.attempts), []).append(place)
    for (nodes, attempts), places in alike.items():  # nearly always one
        given = {"done": document(places), "nodes": " ".join(sorted(nodes)), "attempts": attempts}
        given |= {"now": now, "committed_at": committed_at, "way": way}
        db.execute(_mark_published(_dialect(db)), given)


@cache
def _mark_published(dialect: str) -> Executable:
    done = rows(dialect, "done", {"user_id": UserId, "seq": BigInteger(), "tag": Tag})
    held = select(func.count()).where(connections.c.user_id == events.c.user_id, connections.c.ended_at.is_(None))
    # As by ``write(durable=False)``, also where it is a transaction of its own.
    unhurried = [] if dialect == "sqlite" else [setting("synchronous_commit", "off")]
    return (
        update(events)
        .where(events.c.user_id == done.c.user_id, events.c.seq == done.c.seq, events.c.published_at.is_(None))
        .where(events.c.tag == done.c.tag)  # a failover may have put another event there meanwhile
        .where(*unhurried)
        .values(
            published_at=_NOW,
            committed_at=bindparam("committed_at", type_=Moment()),
            way=bindparam("way", type_=String()),
            nodes=bindparam("nodes", type_=Text()),
            attempts=bindparam("attempts", type_=Integer()),
            connections=held.scalar_subquery(),
        )
    )


def _dialect(db: Connection) -> str:
    return db.dialect.name


def _with_notifications(now: datetime, source: FromClause = events) -> Select[Any]:
    """Entries of the log, each with its notification if that is still to be shown."""
    alive = or_(notifications.c.expires_at.is_(None), notifications.c.expires_at > now)
    return select(
        *(source.c[name] for name in ("user_id", "seq", "tag", "previous_tag", "kind", "unread", "unseen", "data")),
        source.c.created_at.label("happened_at"),
        *(notifications.c[name] for name in ("id", *FIELDS, *CHANGING)),
        notifications.c.created_at,
    ).join_from(source, notifications, and_(notifications.c.id == source.c.notification_id, alive), isouter=True)


def _event(row: Any) -> Event:
    own, previous = EventId(row.seq, row.tag), EventId(row.seq - 1, row.previous_tag)
    stored = None
    is_superseded = row.id is not None and row.kind == UPDATED and orjson.loads(row.data)["revision"] < row.revision
    if row.id is not None and not is_superseded:
        # The newest content, but for its state: that it was read is told by a later event.
        stored = Notification(
            row.id, row.user_id, content_of(row), row.created_at, **{name: getattr(row, name) for name in CHANGING}
        )
    return Event(row.user_id, own, previous, row.kind, row.unread, row.happened_at, row.data, stored, row.unseen)
