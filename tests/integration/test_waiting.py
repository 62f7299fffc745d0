"""The relay's first query finds everything that is due."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection

from shirase.inbox import notifications
from shirase.inbox.connections import REVOKED
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import connections, log, marks, missed, pending, registry
from shirase.store.database import Database
from shirase.types import PUBLISH, Draft, Published, StreamConnection
from tests.support.content import content

NOW = datetime.now(UTC)
PAST, FUTURE = NOW - timedelta(seconds=1), NOW + timedelta(hours=1)
USER = "a, b; c=é"


def anything(database: Database) -> bool:
    with database.autocommit() as db:
        return pending.anything(db, datetime.now(UTC))


def do(database: Database, what: Callable[[Connection], object]) -> None:
    with database.transaction() as db:
        what(db)


def create(database: Database, settings: Settings, expires_at: datetime | None) -> None:
    """Create a notification that no node accepts."""
    draft = Draft(USER, content("a.b", "T", "M", "{}", expires_at))
    notifications.create(database, Publisher(settings), [draft], answer=lambda _: "")


def publish_all(db: Connection) -> None:
    result = log.unpublished(db, ("", 0), 10, NOW)
    marks.mark_published(db, {Published(frozenset({"n"})): result}, NOW, way=PUBLISH, committed_at=NOW)


def test_nothing_waits_in_an_empty_database(database: Database) -> None:
    assert not anything(database)


@pytest.mark.parametrize(("expires_at", "is_due"), [(None, False), (FUTURE, False), (PAST, True)])
def test_an_unpublished_event_waits_and_then_what_has_expired(
    database: Database, settings: Settings, expires_at: datetime | None, *, is_due: bool
) -> None:
    create(database, settings, expires_at)
    assert anything(database)
    do(database, publish_all)
    assert anything(database) is is_due


@pytest.mark.parametrize("node", ["http://node", missed.ANY_NODE])
def test_what_a_node_missed_waits(database: Database, node: str) -> None:
    do(database, lambda db: missed.record(db, [(node, USER)]))
    assert anything(database)
    do(database, lambda db: missed.remove(db, node, {USER: 1}))
    assert not anything(database)


@pytest.mark.parametrize(("expires_at", "is_due"), [(None, False), (FUTURE, False), (PAST, True)])
def test_a_stream_waits_whose_token_has_expired(
    database: Database, expires_at: datetime | None, *, is_due: bool
) -> None:
    do(database, lambda db: connections.add(db, StreamConnection("c1", USER, expires_at), NOW))
    assert anything(database) is is_due
    do(database, lambda db: registry.departed(db, ["c1"], NOW))
    assert not anything(database)


def test_an_end_waits_until_it_is_published(database: Database) -> None:
    do(database, lambda db: connections.add(db, StreamConnection("c1", USER), NOW))
    do(database, lambda db: connections.end(db, ["c1"], REVOKED, NOW))
    assert anything(database)
    do(database, lambda db: connections.mark_closings_sent(db, ["c1"], NOW))
    assert not anything(database)
