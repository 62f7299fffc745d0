"""Instructions for the proxy, and what returning clients receive."""

import itertools
import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from shirase.access import tokens
from shirase.inbox import connections, cursors, inbox, notifications, streams
from shirase.proxy import grip, seals
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store.database import Database
from shirase.types import Draft, EventId
from tests.support import event_ids
from tests.support.content import content
from tests.support.event_ids import event_id
from tests.support.event_stream import Dispatched, parse

USER = "a, b; c=é"


@pytest.fixture
def publisher(settings: Settings) -> Publisher:
    return Publisher(settings)


def create(database: Database, publisher: Publisher, count: int, expires_at: datetime | None = None) -> None:
    drafts = [Draft(USER, content("a.b", f"T{n}", "M", "{}", expires_at)) for n in range(count)]
    notifications.create(database, publisher, drafts, answer=lambda created: str(len(created)))


def events(body: str) -> list[Dispatched]:
    return parse(body).events


def cursor(database: Database, seq: int) -> str:
    return event_ids.cursor(database, USER, seq)


def open_stream(database: Database, settings: Settings, start: str | None) -> streams.Answer:
    stream = connections.new(settings, USER, None, "", "")
    return streams.open_stream(database, Publisher(settings), settings, stream, start)


def follow(database: Database, settings: Settings, answer: streams.Answer) -> tuple[list[Dispatched], int, Any]:
    """Read pages as the proxy does, until a hold; return the events, the number of pages, the hold's headers."""
    result = events(answer.body)
    for pages in itertools.count(1):
        if "Grip-Hold" in answer.headers("GET"):
            return result, pages, answer.headers("GET")
        match = re.fullmatch(rf"<{streams.NEXT_PATH}/(\S+)>; rel=next", answer.headers("GET")["Grip-Link"])
        assert match
        continued = streams.continue_stream(database, Publisher(settings), settings, match[1])
        assert continued
        answer = continued
        result += events(answer.body)
    raise AssertionError


def test_a_first_stream_begins_at_the_present(database: Database, settings: Settings, publisher: Publisher) -> None:
    create(database, publisher, 3)
    answer = open_stream(database, settings, None)
    (connected,) = events(answer.body)
    assert (connected.event, connected.id) == ("connected", cursor(database, 3))
    assert streams.RETRY[0] <= (parse(answer.body).retry or 0) <= streams.RETRY[1]
    body = connected.json()
    counts = {"unread_count": 3, "unseen_count": 3}
    assert body == {"user_id": USER, "status": "connected", "connection_id": body["connection_id"], **counts}
    channel = f"{grip.user_channel(USER)}; prev-id={event_id(database, USER, 3)}, c-{body['connection_id']}-"
    assert answer.headers("GET")["Grip-Hold"] == "stream"
    assert re.fullmatch(re.escape(channel) + "[0-9a-f]{32}; prev-id=0", answer.headers("GET")["Grip-Channel"])
    assert answer.headers("GET")["Grip-Link"] == "</api/sse/next>; rel=next; timeout=3600"
    assert answer.headers("GET")["Grip-Keep-Alive"].endswith("; format=cstring; timeout=30; mode=idle")


@pytest.mark.parametrize(("missed", "pages"), [(1, 1), (99, 1), (100, 1), (101, 2), (250, 3)])
def test_pages_of_missed_events_carry_the_count_at_their_cursor(
    database: Database, settings: Settings, publisher: Publisher, missed: int, pages: int
) -> None:
    create(database, publisher, 2 + missed)
    result, read, headers = follow(database, settings, open_stream(database, settings, cursor(database, 2)))
    assert [event.id for event in result] == [cursor(database, seq) for seq in range(2, 3 + missed)]
    assert result[0].json()["unread_count"] == 2
    assert [event.json()["title"] for event in result[1:]] == [f"T{n}" for n in range(2, 2 + missed)]
    assert read == pages
    assert f"prev-id={event_id(database, USER, 2 + missed)}," in headers["Grip-Channel"]


@pytest.mark.parametrize("foreign", ["", "x", "0123456789-2", "0123456789-", "\u2028", "-1", "reset"])
def test_a_cursor_from_elsewhere_is_answered_with_reset(
    database: Database, settings: Settings, publisher: Publisher, foreign: str
) -> None:
    create(database, publisher, 3)
    assert_reset(database, settings, foreign)


def test_a_cursor_ahead_of_the_head_is_answered_with_reset(
    database: Database, settings: Settings, publisher: Publisher
) -> None:
    create(database, publisher, 3)
    assert_reset(database, settings, cursor(database, 4))
    assert_reset(database, settings, cursors.encode(database.name, "another", EventId(2, "0a1b2c")))


@pytest.mark.parametrize("pruned", ["seq <= 2", "seq = 3", "seq <= 4"])
def test_a_cursor_older_than_what_is_kept_is_answered_with_reset(
    database: Database, settings: Settings, publisher: Publisher, pruned: str
) -> None:
    create(database, publisher, 5)
    second = cursor(database, 2)
    with database.transaction() as db:
        db.execute(text(f"DELETE FROM shirase_events WHERE {pruned}"))  # noqa: S608
    assert_reset(database, settings, second)
    assert_reset(database, settings, cursor(database, 0))


def assert_reset(database: Database, settings: Settings, start: str) -> None:
    answer = open_stream(database, settings, start)
    connected, reset = events(answer.body)
    head = int(reset.id.rpartition("-")[2].partition(".")[0])
    assert (connected.event, reset.event, reset.id) == ("connected", "reset", cursor(database, head))
    assert set(reset.json()) == {"reason"}
    assert "Grip-Hold" in answer.headers("GET")
    # A client that lost the stream between the two events is reset again.
    assert "event: reset" in open_stream(database, settings, connected.id).body
    assert "event: reset" not in open_stream(database, settings, reset.id).body


def test_a_recovery_replays_without_a_second_connected(
    database: Database, settings: Settings, publisher: Publisher
) -> None:
    create(database, publisher, 3)
    answer = streams.recover(
        database, Publisher(settings), settings, grip.Last(USER, "0a1b", event_id(database, USER, 1))
    )
    assert [event.id for event in events(answer.body)] == [cursor(database, 2), cursor(database, 3)]
    third = event_id(database, USER, 3)
    assert answer.headers("GET")["Grip-Channel"] == f"{grip.user_channel(USER)}; prev-id={third}, c-0a1b; prev-id=0"
    assert streams.recover(database, Publisher(settings), settings, grip.Last(USER, "0a1b", third)).body == ""


def test_a_recovery_without_a_database_holds_and_retries(
    database: Database, settings: Settings, publisher: Publisher
) -> None:
    create(database, publisher, 2)
    last = grip.Last(USER, "0a1b", event_id(database, USER, 1))
    unreachable = Database("postgresql://nobody@127.0.0.1:1/none")
    answer = streams.recover(unreachable, Publisher(settings), settings, last)
    unreachable.close()
    assert (answer.body, answer.headers("GET")["Grip-Link"]) == ("", f"</api/sse/next>; rel=next; timeout={grip.AGAIN}")
    assert answer.headers("GET")["Grip-Channel"].startswith(f"{grip.user_channel(USER)}; prev-id={last.event},")
    assert [event.id for event in events(streams.recover(database, Publisher(settings), settings, last).body)] == [
        cursor(database, 2)
    ]


def test_a_page_that_we_did_not_name_is_refused(database: Database, settings: Settings) -> None:
    for sealed in ("", "x", "e30.x", "e30"):
        assert streams.continue_stream(database, Publisher(settings), settings, sealed) is None


def test_the_address_of_a_page_expires(
    database: Database, settings: Settings, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(database, publisher, 102)
    link = open_stream(database, settings, cursor(database, 0)).headers("GET")["Grip-Link"]
    sealed = link.partition(">")[0].rpartition("/")[2]
    for _ in range(2):  # the proxy may repeat a request whose response was lost
        assert streams.continue_stream(database, publisher, settings, sealed)
    monkeypatch.setattr(time, "time", lambda: datetime.now(UTC).timestamp() + streams.PAGE_TTL + 1)
    assert streams.continue_stream(database, publisher, settings, sealed) is None


def test_a_page_ends_with_its_connection(database: Database, settings: Settings, publisher: Publisher) -> None:
    create(database, publisher, 102)
    link = open_stream(database, settings, cursor(database, 0)).headers("GET")["Grip-Link"]
    connections.revoke(database, publisher, USER)
    page = streams.continue_stream(database, publisher, settings, link.partition(">")[0].rpartition("/")[2])
    assert page
    assert [event.event for event in events(page.body)] == ["closing"]
    assert not page.headers("GET")


def test_nothing_that_a_client_sees_holds_a_connections_seal(
    database: Database, settings: Settings, publisher: Publisher
) -> None:
    create(database, publisher, 102)
    answer = open_stream(database, settings, cursor(database, 0))
    sealed = answer.headers("GET")["Grip-Link"].partition(">")[0].rpartition("/")[2]
    page = tokens.unseal(settings, streams.PAGE, sealed)
    name = events(answer.body)[0].json()["connection_id"]
    assert page
    assert page["connection"] == name
    seal = seals.connection_id(grip.sealing_keys(settings)[0], USER, name).rpartition("-")[2]
    assert seal not in answer.body + json.dumps(page)


def test_what_expired_or_was_deleted_is_not_replayed(
    database: Database, settings: Settings, publisher: Publisher
) -> None:
    create(database, publisher, 1)
    create(database, publisher, 1, datetime.now(UTC) - timedelta(seconds=1))
    create(database, publisher, 1)
    with database.autocommit() as db:
        first = db.execute(text("SELECT min(id) FROM shirase_notifications")).scalar_one()
    inbox.delete(database, publisher, USER, first)
    result, _, _ = follow(database, settings, open_stream(database, settings, cursor(database, 0)))
    assert [event.event for event in result] == ["connected", "notification", "deleted"]
    assert result[-1].json() == {"ids": [first], "unread_count": 1, "unseen_count": 1}


def test_a_stream_opens_without_a_database_and_begins_later(
    database: Database, settings: Settings, publisher: Publisher
) -> None:
    create(database, publisher, 3)
    unreachable = Database("postgresql://nobody@127.0.0.1:1/none")
    answer = open_stream(unreachable, settings, cursor(database, 1))
    unreachable.close()
    assert events(answer.body) == []
    result, _, _ = follow(database, settings, answer)
    assert [event.id for event in result] == [cursor(database, seq) for seq in (1, 2, 3)]


def test_the_long_poll_waits_only_when_nothing_was_missed(
    database: Database, settings: Settings, publisher: Publisher
) -> None:
    create(database, publisher, 2)
    at_once = streams.poll(database, settings, USER, cursor(database, 1), 25)
    answer = json.loads(at_once.body)
    assert not at_once.headers("GET")
    assert [event["id"] for event in answer["events"]] == [answer["cursor"]] == [cursor(database, 2)]
    waiting = streams.poll(database, settings, USER, answer["cursor"], 25)
    assert json.loads(waiting.body) == {"events": [], "cursor": cursor(database, 2)}
    assert waiting.headers("GET")["Grip-Hold"] == "response"
    assert json.loads(streams.poll(database, settings, USER, "x", 25).body)["events"][0]["event"] == "reset"


def test_a_long_poll_is_not_held_at_an_empty_page(database: Database, settings: Settings, publisher: Publisher) -> None:
    create(database, publisher, 5)
    with database.transaction() as db:
        db.execute(text("DELETE FROM shirase_notifications WHERE seq <= 3"))
    answer = streams.poll(database, replace(settings, sse_queue_size=2), USER, cursor(database, 0), 25)
    assert not answer.headers("GET")
    assert json.loads(answer.body) == {"events": [], "cursor": cursor(database, 2)}


def test_an_empty_page_of_a_stream_links_to_the_next(
    database: Database, settings: Settings, publisher: Publisher
) -> None:
    create(database, publisher, 5)
    with database.transaction() as db:
        db.execute(text("DELETE FROM shirase_notifications WHERE seq <= 3"))
    small = replace(settings, sse_queue_size=2)
    result, pages, _ = follow(database, small, open_stream(database, small, cursor(database, 0)))
    assert ([event.id for event in result], pages) == ([cursor(database, seq) for seq in (0, 4, 5)], 3)
