"""The relay publishes what the first publish did not, and removes what has expired."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from shirase.inbox import events, inbox, notifications
from shirase.proxy import grip
from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from shirase.settings import Settings
from shirase.store import log, missed
from shirase.store.database import Database
from shirase.types import Draft
from tests.support.content import content
from tests.support.control_port import ControlPort, control_port
from tests.support.event_ids import event_id
from tests.support.loop_thread import wait_until

BOUND = 10.0  # seconds


@pytest.fixture
def ports() -> Iterator[list[ControlPort]]:
    with ExitStack() as running:
        yield [running.enter_context(control_port()) for _ in range(2)]


@pytest.fixture
def publisher(settings: Settings, ports: list[ControlPort]) -> Publisher:
    return Publisher(replace(settings, grip_url=tuple(port.url for port in ports)))


def create(database: Database, publisher: Publisher, users: list[str], expires_at: datetime | None = None) -> None:
    drafts = [Draft(user, content("a.b", "T", "M", "{}", expires_at)) for user in users]
    notifications.create(database, publisher, drafts, answer=lambda created: str(len(created)))


def waiting(database: Database) -> int:
    with database.autocommit() as db:
        return len(log.unpublished(db, ("", 0), 10_000, datetime.now(UTC)))


def test_what_is_created_is_published_to_every_node_in_order(
    database: Database, publisher: Publisher, ports: list[ControlPort]
) -> None:
    create(database, publisher, ["a", "b", "a"])
    assert ports[0].items == ports[1].items
    places = [(item["channel"], item["id"], item["prev-id"]) for item in ports[0].items]
    first, second, of_b = (str(event_id(database, *of)) for of in (("a", 1), ("a", 2), ("b", 1)))
    assert places == [("u-YQ", first, "0"), ("u-YQ", second, first), ("u-Yg", of_b, "0")]
    assert waiting(database) == 0


def test_what_nobody_accepted_waits_for_the_relay(
    database: Database, publisher: Publisher, ports: list[ControlPort]
) -> None:
    for port in ports:
        port.behaviour = "fail"
    create(database, publisher, ["a", "b", "a"])
    assert waiting(database) == 3
    assert repair.repair(database, publisher).events == 0
    for port in ports:
        port.behaviour = "accept"
    wait_until(lambda: repair.repair(database, publisher).events == 3, BOUND, "a spared node was not tried again")
    assert [(item["channel"], item["id"], item["prev-id"]) for item in ports[0].items] == [
        ("u-YQ", str(event_id(database, "a", 1)), "0"),
        ("u-YQ", str(event_id(database, "a", 2)), str(event_id(database, "a", 1))),
        ("u-Yg", str(event_id(database, "b", 1)), "0"),
    ]
    assert waiting(database) == 0
    assert repair.repair(database, publisher).events == 0


def test_a_returning_node_reads_the_streams_it_missed_again(
    database: Database, publisher: Publisher, ports: list[ControlPort]
) -> None:
    ports[1].behaviour = "fail"
    create(database, publisher, ["a", "b", "a"])
    create(database, publisher, ["a"])
    assert waiting(database) == 0
    repair.repair(database, publisher)
    assert ports[1].items == []
    ports[1].behaviour = "accept"

    def reread() -> list[str]:
        repair.repair(database, publisher)
        return [item["channel"] for item in ports[1].items]

    wait_until(reread, BOUND, "the node was not asked")
    assert sorted(reread()) == ["u-YQ", "u-YQ", "u-Yg", "u-Yg"]
    hints, latest = ports[1].items[:2], ports[1].items[2:]
    assert all(item["formats"]["http-stream"] == {"action": "hint"} and "id" not in item for item in hints)
    # A stream that was being opened ignored the hint; the latest event's id reveals the gap.
    assert {(item["channel"], item["id"], item["prev-id"]) for item in latest} == {
        ("u-YQ", str(event_id(database, "a", 3)), str(event_id(database, "a", 2))),
        ("u-Yg", str(event_id(database, "b", 1)), "0"),
    }
    assert len(ports[0].items) == 4


def test_a_latest_event_without_content_keeps_its_id(
    database: Database, publisher: Publisher, ports: list[ControlPort]
) -> None:
    """Without an id the proxy would treat it as a hint, which a stream that is being read ignores."""
    ports[1].behaviour = "fail"
    create(database, publisher, ["a"])
    over = [Draft("a", content("a.b", "T", "M", "{}", datetime.now(UTC) - timedelta(seconds=1)))]
    notifications.create(database, publisher, over, answer=lambda _: "")
    ports[1].behaviour = "accept"

    def reread() -> bool:
        repair.repair(database, publisher)
        return bool(ports[1].items)

    wait_until(reread, BOUND, "the node was not asked")
    hint, latest = ports[1].items
    assert hint["formats"]["http-stream"] == {"action": "hint"}
    assert (latest["id"], latest["prev-id"]) == tuple(str(event_id(database, "a", seq)) for seq in (2, 1))
    assert latest["formats"]["http-stream"] == {"content": ":\n\n"}


def test_a_large_backlog_goes_in_posts_under_the_proxys_limit(
    database: Database, publisher: Publisher, ports: list[ControlPort]
) -> None:
    ports[0].behaviour = ports[1].behaviour = "fail"
    create(database, publisher, [f"u{number}" for number in range(1200)])
    ports[0].behaviour = ports[1].behaviour = "accept"

    def drained() -> bool:
        repair.repair(database, publisher)
        return not waiting(database)

    wait_until(drained, BOUND, "the backlog was not drained")
    assert {item["channel"] for item in ports[0].items} == {grip.user_channel(f"u{n}") for n in range(1200)}
    assert len(ports[0].posts) < 10


def test_a_burst_is_read_from_the_log_and_not_sent(
    database: Database, publisher: Publisher, ports: list[ControlPort]
) -> None:
    create(database, publisher, ["a"] * (events.BURST + 1))
    hint, last = ports[0].items
    assert (hint["formats"]["http-stream"], "id" in hint) == ({"action": "hint"}, False)
    before, own = (str(event_id(database, "a", seq)) for seq in (events.BURST, events.BURST + 1))
    assert (last["id"], last["prev-id"]) == (own, before)
    assert waiting(database) == 0


def test_streams_are_read_again_once_a_burst_is_over(
    database: Database, publisher: Publisher, ports: list[ControlPort]
) -> None:
    for _ in range(events.BURST):
        create(database, publisher, ["a", "b"])
    create(database, publisher, ["b"])
    seen = repair.end_bursts(database, publisher, {})
    assert set(seen) == {"a", "b"}
    create(database, publisher, ["b"] * events.BURST)  # continues
    ports[1].behaviour = "fail"
    before = len(ports[0].items)

    assert set(repair.end_bursts(database, publisher, seen)) == {"b"}
    hint, last = ports[0].items[before:]
    assert (hint["channel"], hint["formats"]["http-stream"]) == ("u-YQ", {"action": "hint"})
    assert last["id"] == str(event_id(database, "a", events.BURST))
    with database.autocommit() as db:
        assert missed.of_node(db, ports[1].url, 10) == {"a": 1}  # recorded until it is back
        assert set(missed.of_node(db, missed.ANY_NODE, 10)) == {"b"}


def test_what_expires_leaves_every_device(database: Database, publisher: Publisher, ports: list[ControlPort]) -> None:
    create(database, publisher, ["a", "b"], datetime.now(UTC) - timedelta(seconds=1))
    create(database, publisher, ["a"])
    assert repair.remove_expired(database, publisher) == 2
    assert repair.remove_expired(database, publisher) == 0
    assert inbox.unread_count(database, "a") == 1
    sent = zip(ports[0].items, ports[0].seqs, strict=True)
    body = [item["formats"]["http-stream"]["content"] for item, seq in sent if seq > 1]
    assert sum("event: deleted" in content and '"unread_count":' in content for content in body) == 2


def test_what_is_older_than_is_kept_goes_in_batches(
    settings: Settings, database: Database, publisher: Publisher
) -> None:
    create(database, publisher, [f"u{number}" for number in range(repair.BATCH + 100)])
    with database.transaction() as db:
        for table in ("notifications", "events"):
            db.execute(text(f"UPDATE shirase_{table} SET created_at = '2020-01-01T00:00:00.000000Z'"))  # noqa: S608
    create(database, publisher, ["young", "u1"])
    assert repair.keep_house(settings, database, publisher)
    with database.autocommit() as db:
        left = db.execute(text("SELECT count(*), sum(unread) FROM shirase_streams, (SELECT 1) AS one")).one()
        assert db.execute(text("SELECT count(*) FROM shirase_notifications")).scalar_one() == 2
        assert tuple(left) == (repair.BATCH + 101, 2)
