"""Creates of several threads that share a transaction have the same results as alone."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from shirase.inbox import notifications
from shirase.inbox.notifications import CreateBatcher, create_batcher
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import log
from shirase.store.database import Database
from shirase.types import Draft
from tests.support.content import content, made
from tests.support.control_port import ControlPort, control_port
from tests.support.loop_thread import wait_until

THREADS = 12


@pytest.fixture
def control() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


@pytest.fixture
def publisher(settings: Settings, control: ControlPort) -> Publisher:
    return Publisher(replace(settings, grip_url=(control.url,)))


def draft(user: str, title: str = "T") -> Draft:
    return Draft(user, content("a.b", title, "M", "{}", None))


def create(database: Database, publisher: Publisher, batcher: CreateBatcher, new: Draft) -> str:
    body, _ = notifications.create(
        database, publisher, [new], batcher=batcher, answer=lambda created: made(created[0]).content.title
    )
    return body


def test_each_gets_its_own_and_all_are_in_the_log_and_published(
    database: Database, publisher: Publisher, control: ControlPort
) -> None:
    batcher = create_batcher(database, publisher)
    expected = [draft(f"user-{n % 3}", f"T{n}") for n in range(60)]
    with ThreadPoolExecutor(THREADS) as threads:
        body = list(threads.map(lambda new: create(database, publisher, batcher, new), expected))
    assert body == [item.content.title for item in expected]
    now = datetime.now(UTC)
    with database.autocommit() as db:
        for user in ("user-0", "user-1", "user-2"):
            assert [event.seq for event in log.read_events(db, user, 1, 100, 100, now)] == list(range(1, 21))
            assert log.position(db, user, now).unread == 20
        assert log.unpublished(db, ("", 0), 100, now) == []
    assert len(control.items) == len(expected)


def test_who_waits_for_a_locked_log_holds_up_nobody_else(postgres_url: str, settings: Settings) -> None:
    database = Database(postgres_url)
    publisher = Publisher(settings)
    batcher = create_batcher(database, publisher)
    create(database, publisher, batcher, draft("held"))
    may_end = threading.Event()

    def first_turn() -> None:  # makes the others wait and share a run
        with batcher.turn:
            assert may_end.wait(10)

    with ThreadPoolExecutor(THREADS) as threads, database.transaction() as host:
        host.execute(text("SELECT * FROM shirase_streams WHERE user_id = 'held' FOR UPDATE"))
        turn = threads.submit(first_turn)
        wait_until(batcher.turn.locked, 10, lambda: "nobody has the turn")
        waiting = threads.submit(create, database, publisher, batcher, draft("held"))
        others = [threads.submit(create, database, publisher, batcher, draft(f"free-{n}")) for n in range(4)]
        wait_until(lambda: len(batcher.waiting) == 5, 10, lambda: f"{len(batcher.waiting)} wait")
        may_end.set()
        turn.result(10)
        assert [other.result(10) for other in others] == ["T"] * 4
        assert not waiting.done()
        host.rollback()
        assert waiting.result(10) == "T"
    database.close()
