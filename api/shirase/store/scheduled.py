"""Scheduled notifications. A row is deleted in the transaction that creates its notification."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, CursorResult, delete, insert, select

from shirase.store import kept, tables
from shirase.store.sql import among
from shirase.types import Draft

scheduled = tables.Base.metadata.tables["shirase_scheduled"]


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A draft, and the time to send it."""

    id: int
    draft: Draft
    send_at: datetime
    created_at: datetime
    topic: str | None = None  # of an announcement
    for_newcomers: bool = False


def add(
    db: Connection,
    owner: str,
    draft: Draft,
    send_at: datetime,
    now: datetime,
    *,
    topic: str | None = None,
    for_newcomers: bool = False,
) -> int:
    """Store a draft until its time; with ``topic`` it is an announcement. Returns its id."""
    row = {"owner": owner, "user_id": draft.user_id, "key": draft.content.key, "send_at": send_at, "created_at": now}
    row |= {"topic": topic, "for_newcomers": for_newcomers}
    adding = insert(scheduled).values(**row, draft=kept.encode(draft)).returning(scheduled.c.id)
    number: int = db.execute(adding).scalar_one()
    return number


def of_owner(db: Connection, owner: str, limit: int, after: int = 0) -> list[Scheduled]:
    """A producer's scheduled notifications in the order of creation, after the id ``after``."""
    query = select(scheduled).where(scheduled.c.owner == owner, scheduled.c.id > after)
    return [_scheduled(row) for row in db.execute(query.order_by(scheduled.c.id).limit(limit))]


def cancel(db: Connection, owner: str, number: int) -> bool:
    """Delete one of a producer's scheduled notifications; false if there is none with this id."""
    return _delete(db, scheduled.c.id == number, scheduled.c.owner == owner) > 0


def cancel_key(db: Connection, key: str, user_id: str | None) -> int:
    """Delete scheduled notifications of a key, for one user or for every user; returns their number."""
    return _delete(db, scheduled.c.key == key, *([] if user_id is None else [scheduled.c.user_id == user_id]))


def due(db: Connection, now: datetime, limit: int) -> list[int]:
    """The ids of due rows, by their time."""
    query = select(scheduled.c.id).where(scheduled.c.send_at <= now)
    return list(db.scalars(query.order_by(scheduled.c.send_at, scheduled.c.id).limit(limit)))


def take(db: Connection, ids: Sequence[int]) -> list[Scheduled]:
    """Delete and return these, except those that another relay is taking or that were cancelled."""
    selected = among(db.dialect.name, scheduled.c.id, ids)
    free = select(scheduled.c.id).where(selected).order_by(scheduled.c.id).with_for_update(skip_locked=True)
    taken = db.execute(delete(scheduled).where(scheduled.c.id.in_(free)).returning(scheduled))
    return sorted(map(_scheduled, taken), key=lambda item: (item.send_at, item.id))


def _delete(db: Connection, *conditions: ColumnElement[bool]) -> int:
    return cast(CursorResult[Any], db.execute(delete(scheduled).where(*conditions))).rowcount


def _scheduled(row: Any) -> Scheduled:
    draft = kept.decode(row.draft, row.user_id)
    return Scheduled(row.id, draft, row.send_at, row.created_at, row.topic, row.for_newcomers)
