"""The relay gives announcements to who is connected; several takers at the same time append once."""

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from shirase.inbox import announcements, connections
from shirase.proxy.publisher import Publisher
from shirase.relay import announcements as relay
from shirase.settings import Settings
from shirase.store import announcements as store
from shirase.store import connections as registry
from shirase.store import keyed, log, pending
from shirase.store.database import Database
from shirase.types import EVERYONE, Draft
from tests.support.announcing import Announce, announcer, know, opened, rows, titles
from tests.support.content import content


@pytest.fixture
def publisher(settings: Settings) -> Publisher:
    return Publisher(settings)


@pytest.fixture
def announce(database: Database) -> Announce:
    return announcer(database)


@pytest.fixture
def spreader(settings: Settings) -> relay.Spreader:
    return relay.Spreader(settings)


def test_the_relay_gives_it_to_who_is_connected(
    database: Database, publisher: Publisher, settings: Settings, announce: Announce, spreader: relay.Spreader
) -> None:
    for number in range(5):
        opened(database, publisher, settings, f"u{number}")
    know(database, "absent")
    with database.autocommit() as db:
        assert not pending.anything(db, datetime.now(UTC))
    made = announce("A")
    with database.autocommit() as db:
        assert pending.anything(db, datetime.now(UTC))
        assert store.lag(db) == (5, made.created_at)
    spreader.spread(database, publisher)
    spreader.spread(database, publisher)
    assert (rows(database, "notifications"), announcements.find(database, made.id)[0].reached) == (5, 5)
    with database.autocommit() as db:
        assert store.lag(db) == (0, None)
        assert log.position(db, "u3", datetime.now(UTC)).unread == 1


def test_the_relay_goes_on_looking_for_a_while(
    database: Database, publisher: Publisher, settings: Settings, announce: Announce
) -> None:
    spreader = relay.Spreader(replace(settings, database_timeout=1000.0))
    announce("A")
    spreader.spread(database, publisher)
    with database.transaction() as db:  # a connect that began before the announcement, and is committed only now
        registry.add(db, connections.new(settings, "late", None, "", ""), datetime.now(UTC))
        db.execute(text("INSERT INTO shirase_streams (user_id, head, unread) VALUES ('late', 0, 0)"))
    spreader.spread(database, publisher)
    assert rows(database, "notifications") == 1
    patient = relay.Spreader(replace(settings, database_timeout=0.0))
    patient.spread(database, publisher)
    with database.autocommit() as db:
        assert store.spreading(db) == []


def test_who_joins_while_connected_gets_what_is_for_newcomers(
    database: Database, publisher: Publisher, settings: Settings, announce: Announce
) -> None:
    spreader = relay.Spreader(replace(settings, database_timeout=0.0))
    opened(database, publisher, settings, "42")
    made = announce("A", "a", for_newcomers=True)
    spreader.spread(database, publisher)
    assert announcements.find(database, made.id)[0].reached == 0
    announcements.change_members(database, "a", ["42"], [])
    spreader.spread(database, publisher)
    assert announcements.find(database, made.id)[0].reached == 1


def test_a_locked_log_holds_up_no_other_user(postgres_url: str, settings: Settings, publisher: Publisher) -> None:
    own = replace(settings, database_url=postgres_url)
    database = Database(postgres_url)
    for user in ("free", "locked"):
        opened(database, publisher, own, user)
    with database.transaction() as db:
        made = store.add(db, EVERYONE, Draft("", content()), datetime.now(UTC), for_newcomers=False)
    with database.transaction() as db:
        keyed.lock(db, ["locked"])
        assert announcements.spread(database, publisher) == 1
        assert announcements.find(database, made.id)[0].reached == 1
        assert titles(database, publisher, "locked") == []  # a GET answers what is there
    assert announcements.spread(database, publisher) == 0
    assert titles(database, publisher, "locked") == ["T"]
    database.close()


def test_takers_at_the_same_time_append_once(
    database: Database, publisher: Publisher, settings: Settings, announce: Announce
) -> None:
    opened(database, publisher, settings, "42")
    expected = [announce(f"T{number}").id for number in range(20)]
    others = [Database(settings.database_url) for _ in range(4)]

    def take(number: int) -> None:
        if number % 2:
            announcements.spread(others[number % 4], publisher)
        else:
            announcements.arrive(others[number % 4], publisher, "42", None, patient=True)

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(take, range(16)))
    for other in others:
        other.close()
    with database.autocommit() as db:
        result = log.read_events(db, "42", 1, 100, 100, datetime.now(UTC))
    assert [row.notification.announcement_id for row in result if row.notification] == expected or len(result) == 20
    assert [row.seq for row in result] == list(range(1, 21))


def test_none_is_skipped_however_many_announce(database: Database, publisher: Publisher, settings: Settings) -> None:
    know(database, "42")
    stop = threading.Event()
    others = [Database(settings.database_url) for _ in range(3)]

    def make(other: Database) -> None:
        for _ in range(20):
            with other.transaction() as db:
                store.add(db, EVERYONE, Draft("", content()), datetime.now(UTC), for_newcomers=False)

    def list_notifications() -> None:
        while not stop.is_set():
            announcements.arrive(database, publisher, "42", None, patient=True)

    with ThreadPoolExecutor(4) as threads:
        looking = threads.submit(list_notifications)
        for made in [threads.submit(make, other) for other in others]:
            made.result()
        stop.set()
        looking.result()
    for other in others:
        other.close()
    assert len(titles(database, publisher, "42")) == 60


def test_deleting_while_it_is_taken_over_leaves_none(
    database: Database, publisher: Publisher, settings: Settings, announce: Announce
) -> None:
    users = [f"u{number:03}" for number in range(60)]
    know(database, *users)
    made = announce("A")
    other = Database(settings.database_url)

    def take(user: str) -> None:
        announcements.arrive(other, publisher, user, None, patient=True)

    with ThreadPoolExecutor(4) as threads:
        taking = [threads.submit(take, user) for user in users]
        taking[20].result()
        announcements.retract(database, publisher, made.id)
        for task in taking:
            task.result()
    other.close()
    assert {tuple(titles(database, publisher, user)) for user in users} == {()}


def test_joining_and_leaving_while_announcing_agrees(
    database: Database, publisher: Publisher, settings: Settings, announce: Announce
) -> None:
    users = [f"u{number}" for number in range(6)]
    other = Database(settings.database_url)

    def churn() -> None:
        for number in range(15):
            announcements.change_members(other, "a", users[number % 3 :: 2], [])
            announcements.change_members(other, "a", [], users[number % 2 :: 3])

    with ThreadPoolExecutor(2) as threads:
        churning = threads.submit(churn)
        for number in range(15):
            announce(f"T{number:02}", "a", for_newcomers=number % 5 == 0)
            titles(database, publisher, users[number % 6])
        churning.result()
    other.close()
    for user in users:
        result = titles(database, publisher, user)
        assert len(result) == len(set(result))
        with database.autocommit() as db:
            events = log.read_events(db, user, 1, 100, 100, datetime.now(UTC))
        assert [event.seq for event in events] == list(range(1, len(result) + 1))
