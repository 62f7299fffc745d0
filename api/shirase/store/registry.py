"""The registry of connections, as the relay maintains it from the nodes' statistics: many rows in one statement."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, cast

from sqlalchemy import ColumnElement, Connection, CursorResult, Executable, and_, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from shirase.store import tables
from shirase.store.connections import GONE, LIVE_BY_ID, lock_rows
from shirase.store.sql import among, among_listed, listed

connections = tables.Base.metadata.tables["shirase_connections"]
missed = tables.Base.metadata.tables["shirase_missed"]
nodes = tables.Base.metadata.tables["shirase_nodes"]

PAGE = 1000  # rows read at a time

_LIVE = connections.c.ended_at.is_(None)


@dataclass(frozen=True, slots=True)
class Announced:
    """Of the connections that a node announced: those whose streams must recover, and those that have no row."""

    recovering: frozenset[str]
    missing: frozenset[str]


NONE = Announced(frozenset(), frozenset())


def announced(
    db: Connection, node: str, connection_ids: Collection[str], now: datetime, gone_before: datetime
) -> Announced:
    """Record that a node holds these connections.

    A stream must recover if the service ended it, or if it may have missed an event because it was not counted for this
    node (``store/audience.py``): it has no row, a row of another node, or is gone since before ``gone_before``.
    Rows that would not change are not written.
    """
    dialect = db.dialect.name
    rows = db.execute(_named(dialect), {"ids": listed(dialect, connection_ids)})
    known = {row.connection_id: row for row in rows}
    live = {number: row for number, row in known.items() if row.reason in (None, GONE)}
    changed = [number for number, row in live.items() if row.node != node or row.reason]
    if changed and lock_rows(db, _these(db, changed)):
        db.execute(
            update(connections)
            .where(_these(db, changed), or_(_LIVE, connections.c.reason == GONE))
            .values(node=node, last_seen=now, ended_at=None, reason=None, closing_sent_at=None)
        )
    missed = {
        number
        for number, row in live.items()
        if row.node not in (None, node) or (row.ended_at and row.ended_at < gone_before)
    }
    missing = frozenset(connection_ids) - known.keys()
    return Announced(frozenset(connection_ids) - (live.keys() - missed), missing)


@cache
def _named(dialect: str) -> Executable:
    query = select(*(connections.c[name] for name in ("connection_id", "node", "reason", "ended_at")))
    return query.where(among_listed(dialect, connections.c.connection_id, "ids"))


def uncounted(db: Connection, node: str, connection_ids: Collection[str]) -> set[str]:
    """Those of these connections that do not count for the node, although the service has not ended them."""
    counts = and_(_LIVE, or_(connections.c.node.is_(None), connections.c.node == node))
    query = select(connections.c.connection_id).where(_these(db, connection_ids))
    return set(connection_ids) - set(db.execute(query.where(or_(counts, connections.c.reason != GONE))).scalars())


def departed(db: Connection, connection_ids: Collection[str], now: datetime) -> int:
    """Record that these connections are gone; returns how many were live."""
    return _leave(db, now, _these(db, connection_ids), LIVE_BY_ID)


def of_node(db: Connection, node: str, before: datetime) -> Iterator[tuple[str, bool]]:
    """The live connections of a node, each with whether it was entered before then.

    They are read in pages, so that memory does not grow with their number.
    """
    query = select(connections.c.connection_id, connections.c.last_seen < before)
    query = query.where(connections.c.node == node, _LIVE)
    query = query.order_by(connections.c.connection_id).limit(PAGE)
    last = ""
    while page := [(row[0], bool(row[1])) for row in db.execute(query.where(connections.c.connection_id > last))]:
        last = page[-1][0]
        yield from page


def entered(db: Connection, node: str, after: datetime, before: datetime) -> list[str]:
    """The live connections of a node that were entered in this time."""
    query = select(connections.c.connection_id).where(connections.c.node == node, _LIVE)
    query = query.where(connections.c.last_seen > after, connections.c.last_seen <= before)
    return list(db.execute(query).scalars())


def node_lost(db: Connection, node: str, before: datetime, now: datetime) -> int:
    """No relay receives a node's statistics any more: mark its connections as gone that were entered before then."""
    return _leave(db, now, and_(connections.c.node == node, connections.c.last_seen < before))


def never_announced(db: Connection, before: datetime, now: datetime) -> int:
    """Mark connections as gone that opened before then, on an unknown node, and that no node announced."""
    return _leave(db, now, and_(connections.c.node.is_(None), connections.c.last_seen < before))


def overdue(db: Connection, before: datetime, now: datetime) -> int:
    """Mark connections as gone that were last confirmed before then."""
    return _leave(db, now, connections.c.last_seen < before)


def renew(db: Connection, node: str, before: datetime, now: datetime) -> None:
    """Renew ``last_seen`` of a node's connections, where it is older than ``before``."""
    db.execute(
        update(connections)
        .where(connections.c.node == node, connections.c.last_seen < before, _LIVE)
        .values(last_seen=now)
    )


def remove_old(db: Connection, left_before: datetime, ended_before: datetime, limit: int) -> int:
    """Delete rows of connections that left, or that the service ended, before these times."""
    of_ours = and_(connections.c.ended_at < ended_before, connections.c.closing_sent_at.is_not(None))
    old = select(connections.c.connection_id).where(
        connections.c.ended_at.is_not(None),
        or_(and_(connections.c.ended_at < left_before, connections.c.reason == GONE), of_ours),
    )
    old = old.order_by(connections.c.ended_at).limit(limit)
    deleted = db.execute(delete(connections).where(connections.c.connection_id.in_(old)))
    return cast(CursorResult[Any], deleted).rowcount


def record_node(db: Connection, node: str, checked_at: datetime, reported_at: datetime | None) -> None:
    """Record when a relay last checked a node's statistics and, if they are received, when that was."""
    dialect = sqlite if db.dialect.name == "sqlite" else postgresql
    values = {"checked_at": checked_at} | ({"reported_at": reported_at} if reported_at else {})
    noting = dialect.insert(nodes).values(name=node, **values)
    db.execute(noting.on_conflict_do_update(index_elements=["name"], set_=values))


def remove_node(db: Connection, node: str, now: datetime) -> None:
    """Mark the connections of a node that has ended as gone, and remove what is recorded of it."""
    _leave(db, now, connections.c.node == node)
    for table, column in ((nodes, nodes.c.name), (missed, missed.c.node)):
        db.execute(delete(table).where(column == node))


def open_by_node(db: Connection) -> dict[str | None, int]:
    """The number of connections by node; under ``None`` those that no node has announced yet.

    It reads every live row, so call it at a scrape only, never in a request.
    """
    query = select(connections.c.node, func.count()).where(_LIVE).group_by(connections.c.node)
    return {row[0]: row[1] for row in db.execute(query)}


def node_checks(db: Connection) -> dict[str, tuple[datetime, datetime | None]]:
    """When each node's statistics were last checked, and last received."""
    rows = db.execute(select(nodes.c.name, nodes.c.checked_at, nodes.c.reported_at))
    return {name: (checked_at, reported_at) for name, checked_at, reported_at in rows}


def _these(db: Connection, connection_ids: Collection[str]) -> ColumnElement[bool]:
    return among(db.dialect.name, connections.c.connection_id, connection_ids)


def _leave(db: Connection, now: datetime, condition: ColumnElement[bool], is_live: ColumnElement[bool] = _LIVE) -> int:
    if not lock_rows(db, condition, is_live):
        return 0
    leaving = update(connections).where(condition, is_live).values(ended_at=now, reason=GONE, closing_sent_at=now)
    return cast(CursorResult[Any], db.execute(leaving)).rowcount
