"""Misses: which users' events one of several proxy nodes did not accept while another did, or all may have dropped.

They are counted by user, not by event, so that a node that is away for long costs no more than the users there are.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection, Integer, String, delete, func, literal, select, true
from sqlalchemy.dialects import postgresql, sqlite

from shirase.store import tables
from shirase.store.sql import document, rows
from shirase.store.tables import UserId

MOST_COUNTED = 100_000
ANY_NODE = ""  # in a node's place: so much came to the user that whichever node may have dropped some of it

missed = tables.Base.metadata.tables["shirase_missed"]


def remember(db: Connection, pairs: Sequence[tuple[str, str]]) -> None:
    """Note (node, user) pairs."""
    values = [{"node": node, "user_id": user_id} for node, user_id in sorted(set(pairs))]
    name = db.dialect.name
    source = rows(name, "misses", {"node": String(), "user_id": UserId})
    wanted = select(source.c.node, source.c.user_id, literal(1)).where(true()).order_by(*source.c)
    dialect = sqlite if name == "sqlite" else postgresql
    statement = dialect.insert(missed).from_select(["node", "user_id", "times"], wanted)
    db.execute(
        statement.on_conflict_do_update(
            index_elements=["node", "user_id"], set_={"times": missed.c.times + statement.excluded.times}
        ),
        {"misses": document(values)},
    )


def of_node(db: Connection, node: str, limit: int) -> dict[str, int]:
    """Users that a node missed something of, and how often."""
    found = db.execute(
        select(missed.c.user_id, missed.c.times).where(missed.c.node == node).order_by(missed.c.user_id).limit(limit)
    )
    return {user_id: int(times) for user_id, times in found}


def count(db: Connection, node: str) -> int:
    """How many users a node missed something of, as far as ``MOST_COUNTED``."""
    found = select(missed.c.user_id).where(missed.c.node == node).limit(MOST_COUNTED).subquery()
    return int(db.execute(select(func.count()).select_from(found)).scalar_one())


def forget(db: Connection, node: str, told: Mapping[str, int]) -> None:
    """Drop what the node has been told of, except where it missed something again meanwhile."""
    values = [{"user_id": user_id, "times": times} for user_id, times in told.items()]
    source = rows(db.dialect.name, "told", {"user_id": UserId, "times": Integer()})
    db.execute(
        delete(missed).where(
            missed.c.node == node,
            select(literal(1)).where(source.c.user_id == missed.c.user_id, source.c.times == missed.c.times).exists(),
        ),
        {"told": document(values)},
    )
