"""Models equal migrations, and no query of the store reads a whole table."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import event, text
from sqlalchemy.orm import Session

from api import notifications
from api.database import Database
from api.grip import Publisher
from api.models import Base
from api.records import PUBLISH, Connection, Content, Draft, Event, Published
from api.settings import Settings
from api.store import connections, inbox, log, misses, registry, retention, traces

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BIG = ("events", "notifications", "streams", "connections")


def mark(session: Session, found: list[Event]) -> None:
    published = [Published(event, frozenset({"n"})) for event in found]
    log.mark_published(session, published, NOW, way=PUBLISH, committed_at=NOW)


QUERIES: dict[str, Callable[[Session], Any]] = {
    "position": lambda session: log.position(session, "u7", NOW),
    "read_events": lambda session: log.read_events(session, "u7", 1, 50, 100, NOW),
    "unpublished": lambda session: log.unpublished(session, ("", 0), 500, NOW),
    "unpublished_among": lambda session: log.unpublished_among(session, [("u7", 3), ("u8", 4)], NOW),
    "latest": lambda session: log.latest(session, ["u7", "u8"], NOW),
    "expired_unread": lambda session: log.expired_unread(session, ["u7", "u8"], NOW),
    "page": lambda session: inbox.page(session, "u7", NOW, limit=50, before=5000),
    "page, unread": lambda session: inbox.page(session, "u7", NOW, limit=50, unread=True),
    "page, type": lambda session: inbox.page(session, "u7", NOW, limit=50, type_="a.b"),
    "get": lambda session: inbox.get(session, "u7", 5, NOW),
    "mark_read": lambda session: inbox.mark_read(session, "u7", [1, 2], NOW),
    "mark_read, all": lambda session: inbox.mark_read(session, "u7", None, NOW),
    "remove": lambda session: inbox.remove(session, "u7", 3, NOW),
    "expired": lambda session: retention.expired(session, NOW, 500),
    "outdated": lambda session: retention.outdated(session, NOW, 500),
    "remove, due": lambda session: retention.remove(session, [(3, "u2"), (4, "u3")], NOW),
    "mark_published": lambda session: mark(session, log.read_events(session, "u7", 1, 9, 9, NOW)),
    "remove_events": lambda session: retention.remove_events(session, datetime(2020, 1, 1, tzinfo=UTC), 500),
    "trace": lambda session: traces.find(session, 7, ["n", "m"]),
    "outbox": log.outbox,
    "misses, count": lambda session: misses.count(session, "n"),
    "enter": lambda session: connections.enter(session, Connection("new", "u7"), NOW),
    "of_user": lambda session: connections.of_user(session, "u7"),
    "end": lambda session: connections.end(session, ["c7", "c8"], "revoked", NOW),
    "end_of_user": lambda session: connections.end_of_user(session, "u7", "revoked", NOW),
    "expired connections": lambda session: connections.expired(session, NOW, 500),
    "untold": lambda session: connections.untold(session, 500),
    "count": lambda session: connections.count(session, "u7"),
    "announced": lambda session: registry.announced(session, "n1", ["c1", "c7", "c9"], NOW),
    "departed": lambda session: registry.departed(session, ["c1", "c7"], NOW),
    "of_node": lambda session: registry.of_node(session, "n1"),
    "never_announced": lambda session: registry.never_announced(session, NOW, NOW),
    "vouch": lambda session: registry.vouch(session, "n1", NOW, NOW),
    "forget": lambda session: registry.forget(session, NOW, NOW, 500),
    "misses": lambda session: misses.of_node(session, "n", 500),
}


def test_models_equal_migrations(database: Database) -> None:
    with database.engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), Base.metadata) == []


@pytest.fixture
def filled(database: Database, settings: Settings) -> Database:
    publisher = Publisher(settings)
    for _ in range(4):
        drafts = [Draft(f"u{number % 500}", Content("a.b", "T", "M")) for number in range(5000)]
        notifications.create(database, publisher, drafts, answer=lambda _: "")
    with database.write() as session:
        for number in range(5000):
            connections.add(session, Connection(f"c{number}", f"u{number % 1000}"), datetime.now(UTC))
        for node in range(50):
            registry.announced(session, f"n{node}", [f"c{number}" for number in range(node, 4900, 50)], NOW)
        registry.departed(session, [f"c{number}" for number in range(1000, 5000)], NOW)
        session.execute(text("UPDATE events SET published_at = created_at"))
        session.execute(text("UPDATE notifications SET read_at = created_at WHERE id % 10 <> 0"))
        session.execute(text("ANALYZE"))
    return database


def test_every_query_uses_an_index(filled: Database) -> None:
    scans = {name: found for name, query in QUERIES.items() if (found := scanned(filled, query))}
    assert scans == {}


def scanned(database: Database, query: Callable[[Session], Any]) -> list[str]:
    """Lines of the query's plans that read one of the big tables from end to end."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    with database.engine.connect() as connection, Session(connection) as session:
        event.listen(database.engine, "before_cursor_execute", note)
        query(session)
        event.remove(database.engine, "before_cursor_execute", note)
        explain = "EXPLAIN " if connection.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
        plans = [
            " ".join(map(str, row))
            for statement, parameters in seen
            if not statement.startswith(("BEGIN", "PRAGMA"))
            for row in connection.exec_driver_sql(explain + statement, parameters)
        ]
        session.rollback()
    assert plans
    whole = re.compile(rf"Seq Scan on ({'|'.join(BIG)})|SCAN ({'|'.join(BIG)})(?! USING)")
    # "outdated" walks SQLite's rows in the order of their ids and stops at its limit: that order is its index.
    return [line for line in plans if whole.search(line) and query is not QUERIES["outdated"]]
