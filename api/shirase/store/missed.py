"""Missed events: users whose events one node did not accept although another did, or any node may have dropped.

There is one row a user, not one an event, which bounds the table in a long outage of a node.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Integer, String, delete, func, literal, select, true
from sqlalchemy.dialects import postgresql, sqlite

from shirase.store import tables
from shirase.store.sql import document, rows
from shirase.store.tables import UserId

MOST_COUNTED = 100_000
ANY_NODE = ""  # in place of a node's name: a burst was so large that any node may have dropped events of it

missed = tables.Base.metadata.tables["shirase_missed"]


def record(db: Connection, pairs: Sequence[tuple[str, str]]) -> None:
    """Record (node, user) pairs."""
    values = [{"node": node, "user_id": user_id} for node, user_id in sorted(set(pairs))]
    name = db.dialect.name
    source = rows(name, "misses", {"node": String(), "user_id": UserId})
    query = select(source.c.node, source.c.user_id, literal(1)).where(true()).order_by(*source.c)
    dialect = sqlite if name == "sqlite" else postgresql
    statement = dialect.insert(missed).from_select(["node", "user_id", "times"], query)
    db.execute(
        statement.on_conflict_do_update(
            index_elements=["node", "user_id"], set_={"times": missed.c.times + statement.excluded.times}
        ),
        {"misses": document(values)},
    )


def of_node(db: Connection, node: str, limit: int) -> dict[str, int]:
    """The users whose events a node missed, and how often."""
    rows = db.execute(
        select(missed.c.user_id, missed.c.times).where(missed.c.node == node).order_by(missed.c.user_id).limit(limit)
    )
    return {user_id: int(times) for user_id, times in rows}


def nodes(db: Connection) -> list[str]:
    """The nodes that missed events."""
    return list(db.execute(select(missed.c.node).where(missed.c.node != ANY_NODE).distinct()).scalars())


def count(db: Connection, node: str) -> int:
    """The number of users whose events a node missed, at most ``MOST_COUNTED``."""
    counted = select(missed.c.user_id).where(missed.c.node == node).limit(MOST_COUNTED).subquery()
    return int(db.execute(select(func.count()).select_from(counted)).scalar_one())


def remove(db: Connection, node: str, hinted: Mapping[str, int]) -> None:
    """Delete the rows of users for whom the node was sent a hint, except those who have missed events since."""
    values = [{"user_id": user_id, "times": times} for user_id, times in hinted.items()]
    source = rows(db.dialect.name, "hinted", {"user_id": UserId, "times": Integer()})
    db.execute(
        delete(missed).where(
            missed.c.node == node,
            select(literal(1)).where(source.c.user_id == missed.c.user_id, source.c.times == missed.c.times).exists(),
        ),
        {"hinted": document(values)},
    )
