"""Models equal migrations, and no query of the store reads a whole table."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, text

from shirase.inbox import notifications
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import connections, inbox, log, missed, pending, registry, retention, traces
from shirase.store.database import Database, Transaction
from shirase.store.tables import VERSION_TABLE, Base
from shirase.types import PUBLISH, Connection, Content, Draft, Event, Published

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BIG = ("events", "notifications", "streams", "connections")


def mark(transaction: Transaction, found: list[Event]) -> None:
    published = [Published(event, frozenset({"n"})) for event in found]
    log.mark_published(transaction, published, NOW, way=PUBLISH, committed_at=NOW)


QUERIES: dict[str, Callable[[Transaction], Any]] = {
    "position": lambda transaction: log.position(transaction, "u7", NOW),
    "read_events": lambda transaction: log.read_events(transaction, "u7", 1, 50, 100, NOW),
    "unpublished": lambda transaction: log.unpublished(transaction, ("", 0), 500, NOW),
    "unpublished_among": lambda transaction: log.unpublished_among(transaction, [("u7", 3), ("u8", 4)], NOW),
    "latest": lambda transaction: log.latest(transaction, ["u7", "u8"], NOW),
    "expired_unread": lambda transaction: log.expired_unread(transaction, ["u7", "u8"], NOW),
    "page": lambda transaction: inbox.page(transaction, "u7", NOW, limit=50, before=5000),
    "page, unread": lambda transaction: inbox.page(transaction, "u7", NOW, limit=50, unread=True),
    "page, type": lambda transaction: inbox.page(transaction, "u7", NOW, limit=50, type_="a.b"),
    "get": lambda transaction: inbox.get(transaction, "u7", 5, NOW),
    "mark_read": lambda transaction: inbox.mark_read(transaction, "u7", [1, 2], NOW),
    "mark_read, all": lambda transaction: inbox.mark_read(transaction, "u7", None, NOW),
    "remove": lambda transaction: inbox.remove(transaction, "u7", 3, NOW),
    "expired": lambda transaction: retention.expired(transaction, NOW, 500),
    "outdated": lambda transaction: retention.outdated(transaction, NOW, 500),
    "remove, due": lambda transaction: retention.remove(transaction, [(3, "u2"), (4, "u3")], NOW),
    "mark_published": lambda transaction: mark(transaction, log.read_events(transaction, "u7", 1, 9, 9, NOW)),
    "remove_events": lambda transaction: retention.remove_events(transaction, datetime(2020, 1, 1, tzinfo=UTC), 500),
    "trace": lambda transaction: traces.find(transaction, 7, ["n", "m"]),
    "outbox": log.outbox,
    "misses, count": lambda transaction: missed.count(transaction, "n"),
    "enter": lambda transaction: connections.enter(transaction, Connection("new", "u7"), NOW),
    "standing": lambda transaction: connections.standing(transaction, Connection("c7", "u7"), NOW),
    "of_user": lambda transaction: connections.of_user(transaction, "u7"),
    "end": lambda transaction: connections.end(transaction, ["c7", "c8"], "revoked", NOW),
    "end_of_user": lambda transaction: connections.end_of_user(transaction, "u7", "revoked", NOW),
    "expired connections": lambda transaction: connections.expired(transaction, NOW, 500),
    "untold": lambda transaction: connections.untold(transaction, 500),
    "count": lambda transaction: connections.count(transaction, "u7"),
    "announced": lambda transaction: registry.announced(transaction, "n1", ["c1", "c7", "c9"], NOW),
    "departed": lambda transaction: registry.departed(transaction, ["c1", "c7"], NOW),
    "of_node": lambda transaction: list(registry.of_node(transaction, "n1")),
    "never_announced": lambda transaction: registry.never_announced(transaction, NOW, NOW),
    "vouch": lambda transaction: registry.vouch(transaction, "n1", NOW, NOW),
    "forget": lambda transaction: registry.forget(transaction, NOW, NOW, 500),
    "misses": lambda transaction: missed.of_node(transaction, "n", 500),
    "waiting": lambda transaction: pending.anything(transaction, NOW),
}


def test_models_equal_migrations(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, Base.metadata) == []


@pytest.fixture
def filled(database: Database, settings: Settings) -> Database:
    publisher = Publisher(settings)
    for _ in range(4):
        drafts = [Draft(f"u{number % 500}", Content("a.b", "T", "M")) for number in range(5000)]
        notifications.create(database, publisher, drafts, answer=lambda _: "")
    with database.write() as transaction:
        for number in range(5000):
            connections.add(transaction, Connection(f"c{number}", f"u{number % 1000}"), datetime.now(UTC))
        for node in range(50):
            registry.announced(transaction, f"n{node}", [f"c{number}" for number in range(node, 4900, 50)], NOW)
        registry.departed(transaction, [f"c{number}" for number in range(1000, 5000)], NOW)
        transaction.execute(text("UPDATE shirase_events SET published_at = created_at"))
        transaction.execute(text("UPDATE shirase_notifications SET read_at = created_at WHERE id % 10 <> 0"))
        transaction.execute(text("ANALYZE"))
    return database


def test_every_query_uses_an_index(filled: Database) -> None:
    scans = {name: found for name, query in QUERIES.items() if (found := scanned(filled, query))}
    assert scans == {}


def scanned(database: Database, query: Callable[[Transaction], Any]) -> list[str]:
    """Lines of the query's plans that read one of the big tables from end to end."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    with database.engine.connect() as transaction:
        transaction.exec_driver_sql("BEGIN")
        event.listen(database.engine, "before_cursor_execute", note)
        query(transaction)
        event.remove(database.engine, "before_cursor_execute", note)
        explain = "EXPLAIN " if transaction.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
        plans = [
            " ".join(map(str, row))
            for statement, parameters in seen
            if not statement.startswith(("BEGIN", "PRAGMA"))
            for row in transaction.exec_driver_sql(explain + statement, parameters)
        ]
        transaction.rollback()
    assert plans
    whole = re.compile(rf"Seq Scan on ({'|'.join(BIG)})|SCAN ({'|'.join(BIG)})(?! USING)")
    # "outdated" walks SQLite's rows in the order of their ids and stops at its limit: that order is its index.
    return [line for line in plans if whole.search(line) and query is not QUERIES["outdated"]]
