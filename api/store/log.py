"""The log: one append-only sequence of events a user.

Appending bumps ``streams.head`` under that row's lock and inserts the event with ``seq = head`` in the transaction of
the change itself. So the order of commit is the order of ``seq``, a user's log has no gaps, and a reader that has
seen ``seq`` n has seen all before it. An ordinary auto-increment id promises neither.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

import orjson
from sqlalchemy import (
    BigInteger,
    Executable,
    FromClause,
    Integer,
    Select,
    String,
    Text,
    and_,
    bindparam,
    func,
    insert,
    or_,
    select,
    true,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from api import models
from api.models import Moment, UserId, rfc3339
from api.records import NOTIFICATION, Content, Draft, Event, Notification, Position, Published
from api.store.rows import document, rows

streams = models.Base.metadata.tables["streams"]
events = models.Base.metadata.tables["events"]
notifications = models.Base.metadata.tables["notifications"]
connections = models.Base.metadata.tables["connections"]

MOST_COUNTED = 100_000

_CONTENT = {
    "k": Integer(),
    "type": String(),
    "title": String(),
    "message": Text(),
    "payload": Text(),
    "expires_at": Moment(),
}


# Statements that every create and connect runs are built once: to build one takes 20 times as long as to run it.
_NOW = bindparam("now", type_=Moment())
_HIDDEN = (
    select(func.count())
    .where(notifications.c.user_id == bindparam("user_id"), notifications.c.read_at.is_(None))
    .where(notifications.c.expires_at <= _NOW)
)
_POSITION = select(streams.c.head, streams.c.unread - _HIDDEN.scalar_subquery()).where(
    streams.c.user_id == bindparam("user_id")
)


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to a user's notifications, not yet in the log."""

    user_id: str
    kind: str
    data: dict[str, Any]  # without the count, which is known only once the log has advanced
    unread: int  # by how much the count changes


def advance(session: Session, steps: Iterable[dict[str, Any]]) -> dict[str, Position]:
    """Move heads and counts forward, and hold the rows' locks until the transaction ends.

    Args:
        session: a transaction that writes.
        steps: ``{"user_id", "events", "unread"}``, one a user.
    """
    found = session.execute(_advance(_dialect(session)), {"steps": document(steps)})
    return {user: Position(head, unread) for user, head, unread in found}


@cache
def _advance(dialect: str) -> Executable:
    source = rows(dialect, "steps", {"user_id": UserId, "events": BigInteger(), "unread": Integer()})
    # Locks are taken in the order of ids, so that two broadcasts never wait for each other in a circle.
    # (SQLite takes "ON CONFLICT" after a SELECT for a join unless there is a WHERE.)
    wanted = select(source.c.user_id, source.c.events, source.c.unread).where(true()).order_by(source.c.user_id)
    module = sqlite if dialect == "sqlite" else postgresql
    statement = module.insert(streams).from_select(["user_id", "head", "unread"], wanted)
    statement = statement.on_conflict_do_update(
        index_elements=["user_id"],
        set_={
            "head": streams.c.head + statement.excluded.head,
            "unread": streams.c.unread + statement.excluded.unread,
        },
    )
    returning: Executable = statement.returning(streams.c.user_id, streams.c.head, streams.c.unread)
    return returning


def append_notifications(session: Session, drafts: Sequence[Draft], now: datetime) -> list[Event]:
    """Store notifications and their events, in order, in three round trips whatever their number."""
    counts = Counter(draft.user_id for draft in drafts)
    steps = [{"user_id": user, "events": n, "unread": n} for user, n in counts.items()]
    ends = advance(session, steps)
    contents: dict[int, tuple[int, Content]] = {}
    places: list[dict[str, Any]] = []
    left = counts.copy()
    for order, draft in enumerate(drafts):
        k, _ = contents.setdefault(id(draft.content), (len(contents), draft.content))
        left[draft.user_id] -= 1
        seq = ends[draft.user_id].head - left[draft.user_id]
        places.append({"user_id": draft.user_id, "seq": seq, "k": k, "ord": order})
    given = {
        "said": document(_content_row(k, content) for k, content in contents.values()),
        "place": document(places),
        "now": now,
    }
    stored = session.execute(_insert_notifications(_dialect(session)), given)
    ids = {(user, seq): number for user, seq, number in stored}
    appended = []
    for draft, at in zip(drafts, places, strict=True):
        user, seq = draft.user_id, at["seq"]
        end = ends[user]
        stored_one = Notification(ids[user, seq], user, draft.content, now)
        appended.append(Event(user, seq, NOTIFICATION, end.unread - (end.head - seq), now, None, stored_one))
    _insert_events(session, appended, now)
    return appended


@cache
def _insert_notifications(dialect: str) -> Executable:
    said = rows(dialect, "said", _CONTENT)
    place = rows(dialect, "place", {"user_id": UserId, "seq": BigInteger(), "k": Integer(), "ord": Integer()})
    columns = [place.c.user_id, place.c.seq, said.c.type, said.c.title, said.c.message, said.c.payload]
    source = select(*columns, _NOW, said.c.expires_at).join_from(place, said, place.c.k == said.c.k)
    names = ["user_id", "seq", "type", "title", "message", "payload", "created_at", "expires_at"]
    statement = insert(notifications).from_select(names, source.order_by(place.c.ord))
    return statement.returning(notifications.c.user_id, notifications.c.seq, notifications.c.id)


def append_changes(session: Session, changes: Sequence[Change], now: datetime) -> list[Event]:
    """Append what happened to stored notifications, one event a user; each says the user's absolute count."""
    steps = [{"user_id": change.user_id, "events": 1, "unread": change.unread} for change in changes]
    ends = advance(session, steps)
    hidden = expired_unread(session, [change.user_id for change in changes], now)
    appended = []
    for change in changes:
        end = ends[change.user_id]
        data = {**change.data, "unread_count": end.unread - hidden.get(change.user_id, 0)}
        text = orjson.dumps(data).decode()
        appended.append(Event(change.user_id, end.head, change.kind, end.unread, now, text))
    _insert_events(session, appended, now)
    return appended


def _insert_events(session: Session, appended: Sequence[Event], now: datetime) -> None:
    values = [
        {
            "user_id": event.user_id,
            "seq": event.seq,
            "kind": event.kind,
            "notification_id": event.notification.id if event.notification else None,
            "data": event.data,
            "unread": event.unread,
        }
        for event in appended
    ]
    session.execute(_insert_entries(_dialect(session)), {"appended": document(values), "now": now})


@cache
def _insert_entries(dialect: str) -> Executable:
    columns = {
        "user_id": UserId,
        "seq": BigInteger(),
        "kind": String(),
        "notification_id": BigInteger(),
        "data": Text(),
        "unread": Integer(),
    }
    source = rows(dialect, "appended", columns)
    return insert(events).from_select([*columns, "created_at"], select(*source.c, _NOW))


def lock(session: Session, user_ids: Sequence[str]) -> None:
    """Hold the logs of these users before their notifications are touched: the one order in which locks are taken."""
    session.execute(
        select(streams.c.user_id).where(streams.c.user_id.in_(user_ids)).order_by(streams.c.user_id).with_for_update()
    ).all()


def expired_unread(session: Session, user_ids: Sequence[str], now: datetime) -> dict[str, int]:
    """How many of the unread have expired and still wait for their removal: they do not count any more."""
    found = session.execute(
        select(notifications.c.user_id, func.count())
        .where(notifications.c.user_id.in_(user_ids), notifications.c.read_at.is_(None))
        .where(notifications.c.expires_at <= now)
        .group_by(notifications.c.user_id)
    )
    return {user_id: int(count) for user_id, count in found}


def position(session: Session, user_id: str, now: datetime) -> Position:
    """Where a log stands; a user who never got anything stands at the start."""
    found = session.execute(_POSITION, {"user_id": user_id, "now": now}).one_or_none()
    return Position(*found) if found else Position(0, 0)


def read_events(session: Session, user_id: str, first: int, last: int, limit: int, now: datetime) -> list[Event]:
    """Events ``first`` to ``last``, both included, in order, ``limit`` at the most.

    A reader that takes ``last`` from ``position`` in the same transaction or before sees no event half-way: what is
    at or below a head that was read has been committed.
    """
    found = _with_notifications(now).where(events.c.user_id == user_id, events.c.seq >= first, events.c.seq <= last)
    return [_event(row) for row in session.execute(found.order_by(events.c.seq).limit(limit))]


def latest(session: Session, user_ids: Sequence[str], now: datetime) -> list[Event]:
    """The event at the head of each of these users' logs, where it is still kept."""
    found = _with_notifications(now).join(
        streams, and_(streams.c.user_id == events.c.user_id, streams.c.head == events.c.seq)
    )
    return [_event(row) for row in session.execute(found.where(streams.c.user_id.in_(user_ids)))]


def unpublished(session: Session, after: tuple[str, int], limit: int, now: datetime) -> list[Event]:
    """What no proxy has accepted yet, in the order of users and of their logs, beginning behind ``after``."""
    # As one comparison of rows it tells where in the index to begin, which an OR of two does not. And it is limited
    # before it is joined: after a long outage the database's statistics still say that next to nothing is unpublished.
    waiting = select(events).where(
        events.c.published_at.is_(None), tuple_(events.c.user_id, events.c.seq) > tuple_(*after)
    )
    picked = waiting.order_by(events.c.user_id, events.c.seq).limit(limit).subquery("waiting")
    found = _with_notifications(now, picked).order_by(picked.c.user_id, picked.c.seq)
    return [_event(row) for row in session.execute(found)]


def outbox(session: Session) -> tuple[int, datetime | None]:
    """How many events no proxy has accepted yet, and since when the oldest of them waits.

    No more than ``MOST_COUNTED`` are looked at, so that a long outage does not make the question dear.
    """
    waiting = select(events.c.created_at).where(events.c.published_at.is_(None)).limit(MOST_COUNTED).subquery()
    count, oldest = session.execute(select(func.count(), func.min(waiting.c.created_at))).one()
    return int(count), oldest


def unpublished_among(session: Session, places: Iterable[tuple[str, int]], now: datetime) -> list[Event]:
    """What no proxy has accepted yet of these (user, seq), as far as it has been committed."""
    values = [{"user_id": user_id, "seq": seq} for user_id, seq in places]
    place = rows(_dialect(session), "places", {"user_id": UserId, "seq": BigInteger()})
    at = and_(events.c.user_id == place.c.user_id, events.c.seq == place.c.seq)
    found = _with_notifications(now).join(place, at).where(events.c.published_at.is_(None))
    found = found.order_by(events.c.user_id, events.c.seq)
    return [_event(row) for row in session.execute(found, {"places": document(values)})]


def mark_published(
    session: Session, published: Iterable[Published], now: datetime, *, way: str, committed_at: datetime | None
) -> None:
    """Take events out of the outbox, and note how they went."""
    values = [
        {
            "user_id": one.event.user_id,
            "seq": one.event.seq,
            "nodes": " ".join(sorted(one.nodes)),
            "attempts": one.attempts,
        }
        for one in published
    ]
    given = {"done": document(values), "now": now, "committed_at": committed_at, "way": way}
    session.execute(_mark_published(_dialect(session)), given)


@cache
def _mark_published(dialect: str) -> Executable:
    columns = {"user_id": UserId, "seq": BigInteger(), "nodes": Text(), "attempts": Integer()}
    done = rows(dialect, "done", columns)
    held = select(func.count()).where(connections.c.user_id == events.c.user_id, connections.c.ended_at.is_(None))
    return (
        update(events)
        .where(events.c.user_id == done.c.user_id, events.c.seq == done.c.seq, events.c.published_at.is_(None))
        .values(
            published_at=_NOW,
            committed_at=bindparam("committed_at", type_=Moment()),
            way=bindparam("way", type_=String()),
            nodes=done.c.nodes,
            attempts=done.c.attempts,
            connections=held.scalar_subquery(),
        )
    )


def _dialect(session: Session) -> str:
    return session.get_bind().dialect.name


def _with_notifications(now: datetime, source: FromClause = events) -> Select[Any]:
    """Entries of the log, each with its notification if that is still to be shown."""
    alive = or_(notifications.c.expires_at.is_(None), notifications.c.expires_at > now)
    return select(
        *(source.c[name] for name in ("user_id", "seq", "kind", "unread", "data")),
        source.c.created_at.label("happened_at"),
        *(notifications.c[name] for name in ("id", "type", "title", "message", "payload", "expires_at")),
        notifications.c.created_at,
    ).join_from(source, notifications, and_(notifications.c.id == source.c.notification_id, alive), isouter=True)


def _event(row: Any) -> Event:
    stored = None
    if row.id is not None:
        content = Content(row.type, row.title, row.message, row.payload, row.expires_at)
        # As it was when the event happened: that it was read is told by a later event.
        stored = Notification(row.id, row.user_id, content, row.created_at)
    return Event(row.user_id, row.seq, row.kind, row.unread, row.happened_at, row.data, stored)


def _content_row(k: int, content: Content) -> dict[str, Any]:
    return {
        "k": k,
        "type": content.type,
        "title": content.title,
        "message": content.message,
        "payload": content.payload,
        "expires_at": rfc3339(content.expires_at) if content.expires_at else None,
    }
