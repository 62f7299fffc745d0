"""Nodes that are being drained: they take no new streams, and the present ones are moved to others."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from shirase.store import tables

connections = tables.Base.metadata.tables["shirase_connections"]
nodes = tables.Base.metadata.tables["shirase_nodes"]


def begin(db: Connection, node: str, now: datetime, until: datetime) -> None:
    """Drain a node until then."""
    dialect = sqlite if db.dialect.name == "sqlite" else postgresql
    noting = dialect.insert(nodes).values(name=node, checked_at=now, draining_until=until)
    db.execute(noting.on_conflict_do_update(index_elements=["name"], set_={"draining_until": until}))


def end(db: Connection, node: str) -> None:
    """Let a node take new streams again."""
    db.execute(update(nodes).where(nodes.c.name == node).values(draining_until=None))


def names(db: Connection, now: datetime) -> frozenset[str]:
    """The nodes that are being drained."""
    return frozenset(db.execute(select(nodes.c.name).where(nodes.c.draining_until > now)).scalars())


def count(db: Connection, node: str) -> int:
    """The number of streams that a node holds."""
    return db.execute(select(func.count()).where(*_of_node(node))).scalar_one()


def some(db: Connection, node: str, limit: int) -> list[str]:
    """The ids of some of these streams, the oldest first."""
    query = select(connections.c.connection_id).where(*_of_node(node)).order_by(connections.c.last_seen)
    return list(db.execute(query.limit(limit)).scalars())


def waiting(db: Connection, node: str) -> int:
    """The number of streams that were ended, and whose closing the node has not accepted."""
    ended = connections.c.ended_at.is_not(None), connections.c.closing_sent_at.is_(None)
    return db.execute(select(func.count()).where(connections.c.node == node, *ended)).scalar_one()


def _of_node(node: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return connections.c.node == node, connections.c.ended_at.is_(None)
