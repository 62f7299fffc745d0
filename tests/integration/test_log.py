"""The order of commits is the order of seq, without gaps, under concurrent writes."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event, text

from shirase.inbox import inbox, notifications
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import log
from shirase.store.database import Database
from shirase.types import Draft
from tests.support.content import content

CONTENT = content("a.b", "T", "M")


@pytest.fixture
def publisher(settings: Settings) -> Publisher:
    return Publisher(settings)


def create(database: Database, publisher: Publisher, users: list[str]) -> None:
    drafts = [Draft(user, CONTENT) for user in users]
    notifications.create(database, publisher, drafts, answer=lambda created: str(len(created)))


def seqs(database: Database, user: str) -> list[int]:
    with database.autocommit() as db:
        return [item.seq for item in log.read_events(db, user, 1, 10**6, 10**6, datetime.now(UTC))]


def test_concurrent_writers_leave_no_gap_and_never_deadlock(database: Database, publisher: Publisher) -> None:
    users = ["a", "b", "c", "d"]
    # Broadcasts in opposite orders, batches with repeated users and single creates, all for the same users.
    tasks = [users, users[::-1], ["a"], ["b", "b", "a"], ["d", "a", "d"]] * 12
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda task: create(database, publisher, task), tasks))
    expected = Counter(user for task in tasks for user in task)
    for user in users:
        assert seqs(database, user) == list(range(1, expected[user] + 1))
        assert inbox.unread_count(database, user) == expected[user]


def test_nothing_lies_between_a_page_and_its_cursor(database: Database, publisher: Publisher) -> None:
    with ThreadPoolExecutor(3) as pool:
        writing = [pool.submit(create, database, publisher, ["a"]) for _ in range(60)]
        while not all(task.done() for task in writing):
            page = inbox.page(database, "a", limit=100)
            position = int(page.cursor.rpartition("-")[2].partition(".")[0])
            assert page.unread == position <= len(page.notifications)
    page = inbox.page(database, "a", limit=100)
    assert (page.unread, len(page.notifications)) == (60, 60)
    assert page.cursor.rpartition("-")[2].startswith("60.")


def test_a_reader_that_saw_a_seq_has_seen_all_before_it(database: Database, publisher: Publisher) -> None:
    with ThreadPoolExecutor(9) as pool:
        writing = [pool.submit(create, database, publisher, ["a", "b"]) for _ in range(80)]
        seen = 0
        over = False
        while not over:
            over = all(
                task.done() for task in writing
            )  # checked before the read, so that the last read sees everything
            with database.autocommit() as db:
                head = log.position(db, "a", datetime.now(UTC)).head
                result = [item.seq for item in log.read_events(db, "a", seen + 1, head, 1000, datetime.now(UTC))]
            assert result == list(range(seen + 1, head + 1))
            seen = head
        for task in writing:
            task.result()
    assert seen == 80


def test_ids_of_one_user_grow_with_their_seq(database: Database, publisher: Publisher) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: create(database, publisher, ["a", "b", "a"]), range(40)))
    with database.autocommit() as db:
        rows = db.scalars(text("SELECT id FROM shirase_notifications WHERE user_id = 'a' ORDER BY seq")).all()
    assert list(rows) == sorted(rows)


def test_counts_equal_a_recount_after_every_kind_of_change(database: Database, publisher: Publisher) -> None:
    create(database, publisher, ["a"] * 10 + ["b"] * 3)
    with database.autocommit() as db:
        ids = list(db.execute(text("SELECT id FROM shirase_notifications WHERE user_id = 'a' ORDER BY id")).scalars())
    assert inbox.mark_read(database, publisher, "a", ids[:3]) == (3, 7)
    assert inbox.mark_read(database, publisher, "a", ids[:4]) == (1, 6)
    inbox.delete(database, publisher, "a", ids[0])
    inbox.delete(database, publisher, "a", ids[9])
    assert inbox.unread_count(database, "a") == 5
    with database.autocommit() as db:
        query = text("SELECT count(*) FROM shirase_notifications WHERE user_id = 'a' AND read_at IS NULL")
        assert db.execute(query).scalar_one() == 5
    assert inbox.mark_read(database, publisher, "a", None) == (5, 0)
    assert inbox.mark_read(database, publisher, "a", None) == (0, 0)
    assert inbox.unread_count(database, "b") == 3
    assert seqs(database, "a") == list(range(1, 16))  # ten created, two and one reads, two deletes: no empty change


def test_create_batch_and_broadcast_cost_equal_statements(database: Database, publisher: Publisher) -> None:
    create(database, publisher, ["warm"])
    counts = [
        statements(database, publisher, users)
        for users in (["a"], ["a"] * 1000, [f"u{number}" for number in range(10_000)])
    ]
    assert counts == [counts[0], counts[0], counts[0] + 1]  # the last asks which of many users have streams
    assert counts[0] <= 4


def statements(database: Database, publisher: Publisher, users: list[str]) -> int:
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    create(database, publisher, users)
    event.remove(database.engine, "before_cursor_execute", note)
    return len(seen)
