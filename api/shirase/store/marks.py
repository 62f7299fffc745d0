"""Marks of published events: they leave the outbox, and their rows record how they were published."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    Connection,
    Executable,
    Integer,
    String,
    Text,
    bindparam,
    case,
    func,
    select,
    update,
)

from shirase.store import tables
from shirase.store.sql import constant, document, rows, setting
from shirase.store.tables import TAG_LENGTH, Moment, Tag, UserId
from shirase.types import Event, Published

events = tables.Base.metadata.tables["shirase_events"]
connections = tables.Base.metadata.tables["shirase_connections"]

MANY = 20  # events, from which on it costs less to mark their append than each of them
_PLACE: Mapping[str, Any] = {"user_id": UserId, "seq": BigInteger(), "tag": Tag}


def mark_published(
    db: Connection,
    published: Mapping[Published, Sequence[Event]],
    now: datetime,
    *,
    way: str,
    committed_at: datetime | None,
    is_append: bool = False,
) -> None:
    """Remove events from the outbox, and record how they were published.

    Args:
        db: on PostgreSQL an autocommit connection is enough.
        published: the events, by how they were published.
        now: the time of it.
        way: ``PUBLISH`` or ``RELAY``.
        committed_at: the time of their commit, if known.
        is_append: they are all the events of one append, so that the largest group can be marked as its rest.
    """
    dialect = db.dialect.name
    groups = sorted(published.items(), key=lambda group: len(group[1]))  # nearly always one or two
    for number, (how, own) in enumerate(groups, 1):
        parameters: dict[str, Any] = {"now": now, "committed_at": committed_at, "way": way}
        parameters |= {"nodes": " ".join(sorted(how.nodes)), "attempts": how.attempts, "needed": how.needed}
        if is_append and number == len(groups) and len(own) >= MANY:
            statement = _mark_rest(dialect)
            parameters |= {"appended_at": own[0].created_at, "append_tag": own[0].id.tag}
        elif len(own) == 1:
            statement = _mark_one(dialect)
            parameters |= {f"done_{name}": value for name, value in _place(own[0]).items()}
        else:
            statement = _mark_each(dialect)
            parameters["done"] = document(map(_place, own))
        db.execute(statement, parameters)


def _place(event: Event) -> dict[str, Any]:
    return {"user_id": event.user_id, "seq": event.seq, "tag": event.id.tag}


@cache
def _mark_rest(dialect: str) -> Executable:
    """Mark the events of an append that are not marked yet."""
    appended_at, tag = bindparam("appended_at", type_=Moment()), bindparam("append_tag", type_=Tag)
    return _marking(dialect, events.c.created_at == appended_at, events.c.tag == tag)


@cache
def _mark_one(dialect: str) -> Executable:
    return _marking(dialect, *_is_at({name: bindparam(f"done_{name}", type_=kind) for name, kind in _PLACE.items()}))


@cache
def _mark_each(dialect: str) -> Executable:
    done: Any = rows(dialect, "done", _PLACE).c
    # Always true. PostgreSQL expects one row of it, and so looks each event up by its key, without statistics too.
    return _marking(dialect, *_is_at(done), func.length(done["tag"]) == TAG_LENGTH)


def _is_at(place: Mapping[str, ColumnElement[Any]]) -> list[ColumnElement[bool]]:
    # The tag too: a failover may have put another event there meanwhile.
    return [events.c[name] == place[name] for name in _PLACE]


def _marking(dialect: str, *conditions: ColumnElement[bool]) -> Executable:
    # As ``transaction(durable=False)`` does, since in autocommit the statement is its own transaction.
    own_settings = [] if dialect == "sqlite" else [setting("synchronous_commit", "off")]
    live = select(func.count()).where(connections.c.user_id == events.c.user_id, connections.c.ended_at.is_(None))
    held = case((bindparam("needed", type_=Boolean()), live.scalar_subquery()), else_=constant(0))
    return (
        update(events)
        .where(*conditions)
        # Not ``published_at``: its index might be read as a whole, with what was unpublished since the last vacuum.
        .where(events.c.way.is_(None), *own_settings)
        .values(
            published_at=bindparam("now", type_=Moment()),
            committed_at=bindparam("committed_at", type_=Moment()),
            way=bindparam("way", type_=String()),
            nodes=bindparam("nodes", type_=Text()),
            attempts=bindparam("attempts", type_=Integer()),
            connections=held,
        )
    )
