"""Advancing logs: lock a log's row, change its head and counts, and insert the events."""

import secrets
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Executable,
    FromClause,
    Integer,
    String,
    Text,
    bindparam,
    func,
    insert,
    literal_column,
    select,
    true,
)
from sqlalchemy.dialects import postgresql, sqlite

from shirase.store import tables
from shirase.store.sql import document, rows, setting
from shirase.store.tables import Moment, Tag, UserId
from shirase.types import Event

streams = tables.Base.metadata.tables["shirase_streams"]
events = tables.Base.metadata.tables["shirase_events"]
announcements = tables.Base.metadata.tables["shirase_announcements"]

IMPATIENCE = "100ms"  # the longest wait for a lock when the caller has a fallback
NOW = bindparam("now", type_=Moment())
TAG = bindparam("tag", type_=Tag)
# SQLite's AUTOINCREMENT counter: an id is not reused after the newest notification was deleted.
LAST_ID = literal_column(
    "(SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'shirase_notifications')", Integer()
)
# A user whose log begins now gets the announcements after this one.
LATEST = select(func.coalesce(func.max(announcements.c.id), 0)).scalar_subquery()
_STEP = {"user_id": UserId, "events": BigInteger(), "unread": Integer(), "unseen": Integer()}
_ENTRY = {
    "user_id": UserId,
    "seq": BigInteger(),
    "kind": String(),
    "notification_id": BigInteger(),
    "data": Text(),
    "unread": Integer(),
    "unseen": Integer(),
    "tag": Tag,
    "previous_tag": Tag,
}


class End(NamedTuple):
    """The end of a log after an append."""

    head: int
    unread: int
    unseen: int
    previous_tag: str  # of the head before
    last_id: int = 0  # the highest that was ever used, in SQLite


def new_tag() -> str:
    """Random bits that mark the events of one append."""
    return secrets.token_hex(3)


def advance(db: Connection, steps: Iterable[dict[str, Any]], tag: str) -> dict[str, End]:
    """Advance heads and counts. The rows stay locked until the transaction ends.

    Args:
        db: a transaction that writes.
        steps: ``{"user_id", "events", "unread", "unseen"}``, one a user.
        tag: the tag of the appended events.
    """
    ends = db.execute(_advance_by_steps(db.dialect.name), {"steps": document(steps), "tag": tag})
    return {user: End(*end) for user, *end in ends.all()}


@cache
def _advance_by_steps(dialect: str) -> Executable:
    statement: Executable = advancing(sqlite if dialect == "sqlite" else postgresql, rows(dialect, "steps", _STEP))
    return statement


def appear(db: Connection, user_ids: Iterable[str], *, patient: bool = True) -> None:
    """Insert logs for users who have none yet.

    It waits while another transaction inserts one of them, up to the timeout; unless ``patient``, up to ``IMPATIENCE``
    (``RowsLocked``).
    """
    parameters = document({"user_id": user_id} for user_id in sorted(user_ids))
    db.execute(_appear(db.dialect.name, patient=patient), {"appearing": parameters})


@cache
def _appear(dialect: str, *, patient: bool) -> Executable:
    new = rows(dialect, "appearing", {"user_id": UserId})
    own_settings = [] if patient or dialect == "sqlite" else [setting("lock_timeout", IMPATIENCE)]
    source = select(new.c.user_id, literal_column("0"), literal_column("0"), LATEST).where(true(), *own_settings)
    module: Any = sqlite if dialect == "sqlite" else postgresql
    begin = module.insert(streams).from_select(["user_id", "head", "unread", "appeared"], source)
    statement: Executable = begin.on_conflict_do_nothing()
    return statement


def advancing(module: Any, steps: FromClause, *also: ColumnElement[Any]) -> Any:
    """The statement that advances logs by these steps, ordered by user id, so that writers cannot deadlock.

    It returns the user and the columns of ``End``, and ``also``.
    """
    # (SQLite takes "ON CONFLICT" after a SELECT for a join unless there is a WHERE.)
    new = select(*(steps.c[name] for name in _STEP), TAG, LATEST).where(true()).order_by(steps.c.user_id)
    statement = module.insert(streams).from_select(["user_id", "head", "unread", "unseen", "tag", "appeared"], new)
    statement = statement.on_conflict_do_update(
        index_elements=["user_id"],
        set_={
            "head": streams.c.head + statement.excluded.head,
            "unread": streams.c.unread + statement.excluded.unread,
            "unseen": streams.c.unseen + statement.excluded.unseen,
            "tag": statement.excluded.tag,
            "previous_tag": streams.c.tag,
        },
    )
    ended = (streams.c.user_id, streams.c.head, streams.c.unread, streams.c.unseen, streams.c.previous_tag)
    return statement.returning(*ended, *([LAST_ID] if module is sqlite else []), *also)


def insert_events(db: Connection, appended: Sequence[Event], now: datetime) -> None:
    """Insert events into logs that have been advanced for them."""
    db.execute(_insert_entries(db.dialect.name), {"appended": document(map(_entry, appended)), "now": now})


@cache
def _insert_entries(dialect: str) -> Executable:
    source = rows(dialect, "appended", _ENTRY)
    return insert(events).from_select([*_ENTRY, "created_at"], select(*source.c, NOW))


def _entry(event: Event) -> dict[str, Any]:
    return {
        "user_id": event.user_id,
        "seq": event.seq,
        "kind": event.kind,
        "notification_id": event.notification.id if event.notification else None,
        "data": event.data,
        "unread": event.unread,
        "unseen": event.unseen,
        "tag": event.id.tag,
        "previous_tag": event.previous.tag,
    }
