"""PostgreSQL keeps the plans of prepared statements: made while a table is small, they must suit a large one."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from psycopg import _queries
from sqlalchemy import Connection, text

from shirase.store import append, audience, connections, marks, registry
from shirase.store.database import Database
from shirase.store.migrate import migrate
from shirase.types import NOTIFICATION, PUBLISH, Draft, Event, EventId, Published, StreamConnection
from tests.support.content import content

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PREPARED = 12  # executions after which the driver has prepared a statement and the server has kept its plan
SCAN = re.compile(r"(?:Seq Scan|Scan using \S+|Bitmap Index Scan) on shirase_(?:connections|streams|events)")


@pytest.fixture
def unanalysed(postgres_url: str) -> Iterator[Database]:
    migrate(postgres_url)
    database = Database(postgres_url)
    yield database
    database.close()


@pytest.fixture
def small(unanalysed: Database) -> Database:
    with unanalysed.transaction() as db:
        db.execute(text("ANALYZE"))  # as autovacuum does it while nobody is connected
    return unanalysed


def test_plans_made_for_few_rows_look_up_single_rows(small: Database) -> None:
    plans = plans_about_users(small)
    assert len(plans) > 3
    assert [scan for plan in plans for scan in without_condition(plan)] == []


@pytest.mark.parametrize("database", ["unanalysed", "small"])
def test_plans_look_up_named_connections_by_their_ids(database: str, request: pytest.FixtureRequest) -> None:
    plans = plans_about_ids(request.getfixturevalue(database))
    assert plans
    assert [scan for plan in plans for scan in by_other_columns(plan, "connection_id", "user_id")] == []


def test_plans_without_statistics_mark_single_events(unanalysed: Database) -> None:
    plans = plans_of_marks(unanalysed)
    assert len(plans) == 2
    assert [scan for plan in plans for scan in without_condition(plan)] == []


def test_the_driver_parses_the_text_of_an_append_once(unanalysed: Database) -> None:
    seen = []
    for _ in range(2):
        with unanalysed.autocommit() as db:
            append.append_notifications(db, [Draft("u", content())], NOW)
        seen.append(_queries._query2pg.cache_info())  # noqa: SLF001 - the driver has no public name for it
    assert seen[0].misses == seen[1].misses
    assert seen[0].hits < seen[1].hits


def plans_about_users(database: Database) -> list[list[str]]:
    """Return the plans that PostgreSQL keeps of the most frequent statements."""
    with database.engine.connect() as db:
        for number in range(PREPARED):
            connection = StreamConnection(f"c{number}", f"u{number}")
            connections.add(db, connection, NOW)
            connections.added(db, connection, NOW)
            connections.standing(db, connection, NOW)
            connections.count(db, connection.user_id)
            registry.announced(db, "n", [connection.connection_id], NOW, NOW)
            audience.read(db, [connection.user_id], NOW)
            mark(db, [event_of(connection.user_id)])
        return kept_plans(db)


def plans_about_ids(database: Database) -> list[list[str]]:
    """Return the plans that it keeps of statements about the connections that a node names."""
    with database.engine.connect() as db:
        for number in range(PREPARED):
            connections.heads(db, [f"c{number}"], NOW, NOW)
            registry.departed(db, [f"c{number}"], NOW)
        return kept_plans(db)


def plans_of_marks(database: Database) -> list[list[str]]:
    """Return the plans that it keeps of the marks of several events, and of an append."""
    with database.engine.connect() as db:
        for number in range(PREPARED):
            mark(db, [event_of(f"u{number}"), event_of(f"v{number}")])
            mark(db, [event_of(f"u{each}") for each in range(marks.MANY)], is_append=True)
        return kept_plans(db)


def mark(db: Connection, appended: list[Event], *, is_append: bool = False) -> None:
    published = {Published(frozenset({"n"})): appended}
    marks.mark_published(db, published, NOW, way=PUBLISH, committed_at=NOW, is_append=is_append)


def event_of(user_id: str) -> Event:
    return Event(user_id, EventId(2, "0a1b2c"), EventId(1, "0a1b2c"), NOTIFICATION, 1, NOW)


def kept_plans(db: Connection) -> list[list[str]]:
    """Return the plan of each prepared statement about connections, as lines."""
    kept = db.exec_driver_sql(
        "SELECT name, cardinality(parameter_types) FROM pg_prepared_statements"
        " WHERE generic_plans > 0 AND statement LIKE '%%shirase_connections%%'"
    ).all()
    return [
        [row[0] for row in db.exec_driver_sql(f"EXPLAIN EXECUTE {name} ({', '.join(['NULL'] * number)})")]
        for name, number in kept
    ]


def by_other_columns(plan: list[str], *columns: str) -> list[str]:
    """Return the scans whose condition names none of these columns: they read the rows of many connections."""
    following = [*plan[1:], ""]
    scans = [after for line, after in zip(plan, following, strict=True) if SCAN.search(line)]
    return [scan for scan in scans if "Index Cond" not in scan or not any(column in scan for column in columns)]


def without_condition(plan: list[str]) -> list[str]:
    """Return the scans that read every row, or the whole index."""
    following = [*plan[1:], ""]
    return [
        line for line, after in zip(plan, following, strict=True) if SCAN.search(line) and "Index Cond" not in after
    ]
