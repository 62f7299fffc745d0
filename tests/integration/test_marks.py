"""Published events are marked: singly, or as what is left of their append."""

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from shirase.inbox import notifications
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import append, audience, connections, marks
from shirase.store.database import Database
from shirase.types import PUBLISH, Draft, Event, Published, StreamConnection
from tests.support.content import content
from tests.support.control_port import control_port
from tests.support.loop_thread import wait_until

MANY = marks.MANY
PATIENCE = 20  # seconds
NOW = datetime(2026, 1, 1, tzinfo=UTC)
A, B = Published(frozenset({"a"})), Published(frozenset({"b"}), needed=False)


def append_to(database: Database, prefix: str, count: int = MANY) -> list[Event]:
    with database.transaction() as db:
        drafts = [Draft(f"{prefix}{number}", content()) for number in range(count)]
        return [event for event in append.append_notifications(db, drafts, NOW) if event]


def rows(database: Database, columns: str) -> set[tuple[Any, ...]]:
    with database.autocommit() as db:
        return {tuple(row) for row in db.execute(text(f"SELECT {columns} FROM shirase_events"))}  # noqa: S608


@pytest.mark.parametrize("is_append", [False, True])
def test_each_event_of_an_append_is_marked_as_published(database: Database, *, is_append: bool) -> None:
    events = append_to(database, "u", MANY + 2)
    with database.transaction() as db:
        connections.add(db, StreamConnection("c1", "u0"), NOW)
        published = {A: events[:2], B: events[2:]}
        marks.mark_published(db, published, NOW, way=PUBLISH, committed_at=NOW, is_append=is_append)
    marked = rows(database, "user_id, way, nodes, attempts, connections")
    expected = {("u0", PUBLISH, "a", 1, 1), ("u1", PUBLISH, "a", 1, 0)}
    assert marked == expected | {(event.user_id, PUBLISH, "b", 1, 0) for event in events[2:]}
    assert len(rows(database, "published_at, committed_at, created_at")) == 1


def test_marking_an_append_leaves_another_of_the_same_moment(database: Database) -> None:
    events, _ = append_to(database, "u"), append_to(database, "other")
    with database.transaction() as db:
        marks.mark_published(db, {A: events}, NOW, way=PUBLISH, committed_at=NOW, is_append=True)
    assert {user_id for user_id, way in rows(database, "user_id, way") if way} == {event.user_id for event in events}


def test_events_of_a_batch_that_no_node_accepts_are_unmarked(database: Database, settings: Settings) -> None:
    """The others need no node, since none of their users has a stream."""
    publisher = Publisher(settings)
    with database.transaction() as db:
        for node in publisher.nodes:
            audience.mark(db, node, datetime.now(UTC))
        connections.add(db, StreamConnection("c1", "u3", node=publisher.nodes[0]), datetime.now(UTC))
    drafts = [Draft(f"u{number}", content()) for number in range(MANY * 2)]
    notifications.create(database, publisher, drafts, answer=lambda _: "")
    assert {user_id for user_id, way in rows(database, "user_id, way") if not way} == {"u3"}


def test_a_large_append_is_answered_before_it_is_marked(database: Database, settings: Settings) -> None:
    """Its events are locked from the publish on, so that a mark would wait."""
    locked, answered = threading.Event(), threading.Event()

    def lock() -> None:
        with database.transaction() as db:  # SQLite locks everything
            if db.dialect.name == "postgresql":
                db.execute(text("SELECT FROM shirase_events FOR UPDATE"))
            locked.set()
            answered.wait(PATIENCE)

    holder = threading.Thread(target=lock)

    def hold() -> None:
        holder.start()
        locked.wait(PATIENCE)

    drafts = [Draft(f"u{number}", content()) for number in range(notifications.LARGE)]
    with control_port() as port:
        port.on_post = hold
        publisher = Publisher(replace(settings, grip_url=(port.url,)))
        notifications.create(database, publisher, drafts, answer=lambda _: "")
        assert rows(database, "way") == {(None,)}
        answered.set()
        wait_until(lambda: rows(database, "way") != {(None,)}, PATIENCE, "nothing is marked")
        assert rows(database, "way, nodes") == {(PUBLISH, port.url)}
    holder.join(PATIENCE)
