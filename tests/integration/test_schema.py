"""Models equal migrations, and no query of the store scans a whole table."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, event, text

from shirase.inbox import notifications
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import (
    announcements,
    append,
    audience,
    claims,
    connections,
    deliveries,
    inbox,
    keyed,
    log,
    marks,
    missed,
    pending,
    registry,
    retention,
    retract,
    scheduled,
    states,
    topics,
    traces,
)
from shirase.store.database import Database
from shirase.store.tables import VERSION_TABLE, Base
from shirase.store.take_over import take_over
from shirase.types import EVERYONE, PUBLISH, SENT, DeliveryOutcome, Draft, Event, Published, StreamConnection
from tests.support.content import content

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BIG = ("events", "notifications", "streams", "connections", "topic_members", "deliveries", "preferences")

REACH = (
    "INSERT INTO shirase_types (type, label, description) VALUES ('a.b', 'A', '')",
    "INSERT INTO shirase_policies (type, step, channel, after) VALUES ('a.b', 0, 'email', 600)",
    (
        "INSERT INTO shirase_preferences (user_id, channel, scope, enabled)"
        " SELECT s.user_id, c.channel, 'x' || t.seq, false FROM shirase_streams s, shirase_events t,"
        " (SELECT 'inbox' AS channel UNION SELECT 'email') c WHERE t.user_id = 'u7'"
    ),
    (
        "INSERT INTO shirase_deliveries"
        " (tag, user_id, notification_id, channel, state, created_at, due_at, tried_at, ended_at)"
        " SELECT '0a1b2c', user_id, id, 'email', CASE WHEN id % 50 = 7 THEN 'pending' ELSE 'sent' END,"
        " created_at, created_at, created_at, CASE WHEN id % 50 = 7 THEN NULL ELSE created_at END"
        " FROM shirase_notifications"
    ),
)

OF_EVERY_CONNECTION = ("connected and behind", "connected and waiting")


@dataclass(frozen=True)
class Row:
    id: int
    user_id: str = "u7"


def mark(db: Connection, events: list[Event], *, is_append: bool = False) -> None:
    published = {Published(frozenset({"n"})): events}
    marks.mark_published(db, published, NOW, way=PUBLISH, committed_at=NOW, is_append=is_append)


QUERIES: dict[str, Callable[[Connection], Any]] = {
    "position": lambda db: log.position(db, "u7", NOW),
    "read_events": lambda db: log.read_events(db, "u7", 1, 50, 100, NOW),
    "unpublished": lambda db: log.unpublished(db, ("", 0), 500, NOW),
    "unpublished_among": lambda db: log.unpublished_among(db, [("u7", 3), ("u8", 4)], NOW),
    "latest": lambda db: log.latest(db, ["u7", "u8"], NOW),
    "hidden": lambda db: log.hidden(db, ["u7", "u8"], NOW),
    "lock": lambda db: log.lock(db, ["u7", "u8"]),
    "page": lambda db: inbox.page(db, "u7", NOW, limit=50, before=5000),
    "page, unread": lambda db: inbox.page(db, "u7", NOW, limit=50, unread=True),
    "page, type": lambda db: inbox.page(db, "u7", NOW, limit=50, type_="a.b"),
    "get": lambda db: inbox.get(db, "u7", 5, NOW),
    "page, category": lambda db: inbox.page(db, "u7", NOW, limit=50, category="c"),
    "page, archived": lambda db: inbox.page(db, "u7", NOW, limit=50, archived=True),
    "page, words": lambda db: inbox.page(db, "u7", NOW, limit=50, words="t m"),
    "unread_by_category": lambda db: inbox.unread_by_category(db, "u7", NOW),
    "mark_read": lambda db: states.mark_read(db, "u7", [1, 2], NOW, seen=0, device=None),
    "mark_read, all": lambda db: states.mark_read(db, "u7", None, NOW, seen=0, device=None),
    "mark_unread": lambda db: states.mark_unread(db, "u7", [1, 2], NOW, seen=0),
    "archive": lambda db: states.archive(db, "u7", [1, 2], NOW, seen=0),
    "archive, all": lambda db: states.archive(db, "u7", None, NOW, seen=0),
    "unarchive": lambda db: states.unarchive(db, "u7", [1, 2], NOW, seen=0),
    "mark_seen": lambda db: states.mark_seen(db, "u7"),
    "remove": lambda db: states.remove(db, "u7", 3, NOW, seen=0),
    "replace": lambda db: keyed.put(db, [Draft("u7", content(key="k7"))], NOW),
    "retract": lambda db: retract.retract(db, "u7", "k7", NOW),
    "of_key": lambda db: retract.of_key(db, "k7", 500),
    "scheduled, due": lambda db: scheduled.due(db, NOW, 500),
    "scheduled, take": lambda db: scheduled.take(db, [1, 2]),
    "scheduled, of_owner": lambda db: scheduled.of_owner(db, "svc", 50),
    "scheduled, cancel": lambda db: scheduled.cancel(db, "svc", 7),
    "scheduled, cancel_key": lambda db: scheduled.cancel_key(db, "k7", None),
    "expired": lambda db: retention.expired(db, NOW, 500),
    "outdated": lambda db: retention.outdated(db, NOW, 500),
    "remove, due": lambda db: retention.remove(db, [(3, "u2"), (4, "u3")], NOW),
    "mark_published": lambda db: mark(db, log.read_events(db, "u7", 1, 9, 9, NOW)),
    "mark_published, append": lambda db: mark(db, log.read_events(db, "u7", 1, 40, 40, NOW), is_append=True),
    "remove_events": lambda db: retention.remove_events(db, datetime(2020, 1, 1, tzinfo=UTC), 500),
    "trace": lambda db: traces.find(db, 7, ["n", "m"]),
    "outbox": log.outbox,
    "misses, count": lambda db: missed.count(db, "n"),
    "add": lambda db: connections.add(db, StreamConnection("new", "u7"), NOW),
    "added": lambda db: connections.added(db, StreamConnection("new", "u7"), NOW),
    "counted": lambda db: connections.counted(db, "u7", NOW),
    "remove a connection": lambda db: connections.remove(db, StreamConnection("c7", "u7")),
    "standing": lambda db: connections.standing(db, StreamConnection("c7", "u7"), NOW),
    "of_user": lambda db: connections.of_user(db, "u7"),
    "end": lambda db: connections.end(db, ["c7", "c8"], "revoked", NOW),
    "evict": lambda db: connections.end(db, ["c7", "c1007"], "revoked", NOW, "u7"),
    "end_of_user": lambda db: connections.end_of_user(db, "u7", "revoked", NOW),
    "expired connections": lambda db: connections.expired(db, NOW, 500),
    "untold": lambda db: connections.unsent_closings(db, 500),
    "count": lambda db: connections.count(db, "u7"),
    "announced": lambda db: registry.announced(db, "n1", ["c1", "c7", "c9"], NOW, NOW),
    "departed": lambda db: registry.departed(db, ["c1", "c7"], NOW),
    "of_node": lambda db: list(registry.of_node(db, "n1", NOW)),
    "entered": lambda db: registry.entered(db, "n1", NOW, NOW),
    "uncounted": lambda db: registry.uncounted(db, "n1", ["c1", "c7", "c9"]),
    "audience": lambda db: audience.read(db, ["u1", "u7", "u9"], NOW),
    "confirm": lambda db: audience.confirm(db, "n1", NOW),
    "never_announced": lambda db: registry.never_announced(db, NOW, NOW),
    "vouch": lambda db: registry.renew(db, "n1", NOW, NOW),
    "remove_old": lambda db: registry.remove_old(db, NOW, NOW, 500),
    "misses": lambda db: missed.of_node(db, "n", 500),
    "waiting": lambda db: pending.anything(db, NOW),
    "take_over": lambda db: take_over(db, ["u7", "u8"], NOW),
    "take_over, claim": lambda db: take_over(db, ["u7"], NOW, claimed=["a", "b"]),
    "announcement": lambda db: announcements.find(db, 1),
    "announcement, taken over": lambda db: announcements.taken_over(db, 1, 500),
    "connected and behind": lambda db: announcements.behind(db, 1000),
    "connected and waiting": lambda db: announcements.waiting(db, 1),
    "members": lambda db: topics.page(db, "t1", 100, "u7"),
    "append, judged": lambda db: append.append_notifications(db, [Draft("u7", content("a.b"))], NOW),
    "replace, planned": lambda db: keyed.put(db, [Draft("u7", content("a.b", title, key="k7")) for title in "ab"], NOW),
    "deliveries, due": lambda db: claims.is_due(db, "email", NOW),
    "deliveries, claim": lambda db: claims.claim(
        db, "email", NOW, lease=timedelta(minutes=5), limit=50, window=timedelta(minutes=1)
    ),
    "deliveries, standings": lambda db: claims.standings(db, deliveries.of_notification(db, 7), NOW),
    "deliveries, finish": lambda db: claims.finish(db, {7: DeliveryOutcome(SENT)}, NOW),
    "deliveries, cancel": lambda db: deliveries.cancel(db, [Row(7), Row(8)], NOW, "read"),
    "deliveries, waiting": deliveries.waiting,
    "deliveries, overdue": lambda db: deliveries.overdue(db, NOW, NOW),
    "deliveries, remove": lambda db: deliveries.remove_ended(db, NOW, 500),
    "members, change": lambda db: topics.change(db, "t1", ["u7"], ["u8"]),
}


def test_models_equal_migrations(database: Database) -> None:
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE})
        assert compare_metadata(context, Base.metadata) == []


@pytest.fixture
def filled(database: Database, settings: Settings) -> Database:
    fill(database, Publisher(settings))
    return database


def fill(database: Database, publisher: Publisher) -> None:
    """Store thousands of rows in each large table, and have PostgreSQL know it."""
    for _ in range(4):
        drafts = [Draft(f"u{number % 500}", content("a.b", "T", "M")) for number in range(5000)]
        notifications.create(database, publisher, drafts, answer=lambda _: "")
    with database.transaction() as db:
        for number in range(5000):
            connections.add(db, StreamConnection(f"c{number}", f"u{number % 1000}"), datetime.now(UTC))
        for node in range(50):
            registry.announced(db, f"n{node}", [f"c{number}" for number in range(node, 4900, 50)], NOW, NOW)
        registry.departed(db, [f"c{number}" for number in range(1000, 5000)], NOW)
        db.execute(text("UPDATE shirase_events SET published_at = created_at"))
        db.execute(text("UPDATE shirase_notifications SET read_at = created_at WHERE id % 10 <> 0"))
        for number in range(20):
            topics.change(db, f"t{number}", [f"u{user}" for user in range(500)], [])
        announcements.add(db, EVERYONE, Draft("", content()), NOW, for_newcomers=False)
        for statement in REACH:
            db.execute(text(statement))
        db.execute(text("ANALYZE"))


def test_every_query_uses_an_index(filled: Database) -> None:
    scans = {name: result for name, query in QUERIES.items() if (result := scanned(filled, query))}
    for name in OF_EVERY_CONNECTION:
        assert all("shirase_connections" in line for line in scans.pop(name, ()))
    assert scans == {}


def scanned(database: Database, query: Callable[[Connection], Any]) -> list[str]:
    """Return the lines of the query's plans that scan a large table."""
    seen: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        seen.append((statement, parameters))

    with database.engine.connect() as db:
        db.exec_driver_sql("BEGIN")
        event.listen(database.engine, "before_cursor_execute", note)
        query(db)
        event.remove(database.engine, "before_cursor_execute", note)
        explain = "EXPLAIN " if db.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN "
        plans = [
            " ".join(map(str, row))
            for statement, parameters in seen
            if not statement.startswith(("BEGIN", "PRAGMA"))
            for row in db.exec_driver_sql(explain + statement, parameters)
        ]
        db.rollback()
    assert plans
    big = f"shirase_({'|'.join(BIG)})"
    whole = re.compile(rf"Seq Scan on {big}|SCAN {big}(?! USING)")
    # "outdated" reads SQLite's rows in the order of their ids, up to a limit: that order is its index.
    return [line for line in plans if whole.search(line) and query is not QUERIES["outdated"]]
