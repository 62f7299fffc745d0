"""The tables of users as hash partitions of PostgreSQL, and which of them a statement reads."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, MetaData, PrimaryKeyConstraint, event, text

from shirase.store.database import Database
from shirase.store.tables import Base

PARTITIONS = 8
# By table without its prefix: the primary key as it must be, since that of a partitioned table holds the user.
KEYS = {
    "streams": ("user_id",),
    "events": ("user_id", "seq"),
    "notifications": ("id", "user_id"),
    "connections": ("connection_id", "user_id"),
    "missed": ("node", "user_id"),
    "topic_members": ("topic", "user_id"),
    "preferences": ("user_id", "channel", "scope"),
    "quiet_hours": ("user_id",),
    "contacts": ("user_id",),
    "deliveries": ("id", "user_id"),
    "erasures": ("user_id",),
}
CHANGED = ("notifications", "connections", "deliveries")  # whose key is another one now
_SCANNED = re.compile(r"shirase_(\w+)_p(\d+)$")

Scans = dict[str, set[int]]  # partitions by table


def partition(database: Database) -> None:
    """Replace the empty tables of a migrated database."""
    metadata = MetaData()
    made = []
    for name, key in KEYS.items():
        table = Base.metadata.tables[f"shirase_{name}"].to_metadata(metadata)
        table.dialect_options["postgresql"]["partition_by"] = "HASH (user_id)"
        for column in table.c:
            column.primary_key = column.name in key
            column.autoincrement = column.name == "id"
        table.append_constraint(PrimaryKeyConstraint(*(table.c[column] for column in key)))
        made.append(table)
    with database.engine.begin() as db:
        for table in made:
            table.drop(db)
            table.create(db)
            for number in range(PARTITIONS):
                bounds = f"WITH (MODULUS {PARTITIONS}, REMAINDER {number})"
                db.execute(text(f"CREATE TABLE {table.name}_p{number} PARTITION OF {table.name} FOR VALUES {bounds}"))


def scanned(db: Connection, query: Callable[[Connection], Any]) -> list[Scans]:
    """Run a query; returns what each of its statements really read, after pruning at run time too."""
    scans: list[Scans] = []

    def explain(_connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith(("SAVEPOINT", "EXPLAIN")):
            cursor.execute("SAVEPOINT explained")
            cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters)
            result: Scans = defaultdict(set)
            for node in _nodes(cursor.fetchone()[0][0]["Plan"]):
                match = _SCANNED.match(node.get("Relation Name", ""))
                if match and "Scan" in node["Node Type"] and node["Actual Loops"]:
                    result[match[1]].add(int(match[2]))
            scans.append(dict(result))
            cursor.execute("ROLLBACK TO explained")

    with _listening(db, explain):
        query(db)
    return scans


@contextmanager
def _listening(db: Connection, explain: Callable[..., None]) -> Iterator[None]:
    event.listen(db.engine, "before_cursor_execute", explain)
    try:
        yield
    finally:
        event.remove(db.engine, "before_cursor_execute", explain)


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)
