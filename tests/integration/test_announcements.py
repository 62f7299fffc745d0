"""Announcements become notifications of users who are connected, connect, list or count; no other user has a row."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from shirase.inbox import announcements, connections, inbox, notifications, retract, streams
from shirase.proxy.publisher import Publisher
from shirase.relay import announcements as relay
from shirase.relay import repair
from shirase.settings import Settings
from shirase.store import log, pending, take_over
from shirase.store.database import Database
from shirase.types import EVERYONE, Draft
from tests.support.announcing import Announce, announcer, know, opened, rows, titles
from tests.support.content import content
from tests.support.event_stream import parse


@pytest.fixture
def publisher(settings: Settings) -> Publisher:
    return Publisher(settings)


@pytest.fixture
def announce(database: Database) -> Announce:
    return announcer(database)


def test_nobody_has_a_row_before_they_look(database: Database, publisher: Publisher, announce: Announce) -> None:
    know(database, "42", "43")
    announce("A")
    assert (rows(database, "notifications"), rows(database, "events")) == (0, 0)
    assert titles(database, publisher, "42") == ["A"]
    assert (rows(database, "notifications"), rows(database, "events")) == (1, 1)


def test_each_look_takes_over_what_is_newer_once(database: Database, publisher: Publisher, announce: Announce) -> None:
    know(database, "42")
    announce("A")
    announce("B")
    assert titles(database, publisher, "42") == ["A", "B"]
    [first, _] = inbox.page(database, "42", limit=9)[0]
    inbox.delete(database, publisher, "42", first.id)
    announce("C")
    assert titles(database, publisher, "42") == titles(database, publisher, "42") == ["A", "C"]


def test_a_connect_counts_what_was_announced(
    database: Database, publisher: Publisher, settings: Settings, announce: Announce
) -> None:
    know(database, "42")
    announce("A")
    announce("B")
    result = opened(database, publisher, settings, "42")
    assert (result["unread_count"], result["unseen_count"]) == (2, 2)


def test_a_resumed_stream_replays_what_was_announced(
    database: Database, publisher: Publisher, settings: Settings, announce: Announce
) -> None:
    first = connections.new(settings, "42", None, "", "")
    cursor = parse(streams.open_stream(database, publisher, settings, first, None).body).events[0].id
    announce("A")
    answer = streams.open_stream(database, publisher, settings, connections.new(settings, "42", None, "", ""), cursor)
    kinds = [(event.event, event.json().get("title")) for event in parse(answer.body).events]
    assert kinds == [("connected", None), ("notification", "A")]


def test_who_appears_later_gets_only_what_is_for_newcomers(
    database: Database, publisher: Publisher, settings: Settings, announce: Announce
) -> None:
    announce("old")
    announce("welcome", for_newcomers=True)
    assert titles(database, publisher, "lists") == ["welcome"]
    assert opened(database, publisher, settings, "connects")["unread_count"] == 1
    notifications.create(database, publisher, [Draft("notified", content(title="own"))], answer=lambda _: "")
    assert titles(database, publisher, "notified") == ["own", "welcome"]
    announce("new")
    assert titles(database, publisher, "lists") == ["welcome", "new"]


@pytest.mark.parametrize("how", ["list", "connect", "member"])
def test_a_user_who_requested_once_is_known(
    database: Database, publisher: Publisher, settings: Settings, announce: Announce, how: str
) -> None:
    if how == "list":
        titles(database, publisher, "42")
    elif how == "connect":
        opened(database, publisher, settings, "42")
    else:
        announcements.change_members(database, "t", ["42"], [])
    announce("A")
    assert titles(database, publisher, "42") == ["A"]


def test_a_topic_is_for_its_members(database: Database, publisher: Publisher, announce: Announce) -> None:
    know(database, "42", "43")
    assert announcements.change_members(database, "a", ["42"], []) == (1, 0)
    announce("A", "a")
    assert (titles(database, publisher, "42"), titles(database, publisher, "43")) == (["A"], [])


def test_who_joins_gets_what_comes_after(database: Database, publisher: Publisher, announce: Announce) -> None:
    know(database, "absent", "present")
    announce("before", "a")
    announce("always", "a", for_newcomers=True)
    assert titles(database, publisher, "present") == []
    announcements.change_members(database, "a", ["absent", "present"], [])
    announce("after", "a")
    assert titles(database, publisher, "absent") == titles(database, publisher, "present") == ["always", "after"]


def test_who_leaves_keeps_what_is_there(database: Database, publisher: Publisher, announce: Announce) -> None:
    announcements.change_members(database, "a", ["42"], [])
    announce("A", "a", for_newcomers=True)
    assert titles(database, publisher, "42") == ["A"]
    assert announcements.change_members(database, "a", [], ["42"]) == (0, 1)
    announce("B", "a")
    assert titles(database, publisher, "42") == ["A"]
    announcements.change_members(database, "a", ["42"], [])
    assert titles(database, publisher, "42") == ["A"]  # not again
    announce("C", "a")
    assert titles(database, publisher, "42") == ["A", "C"]


def test_a_token_names_topics(database: Database, publisher: Publisher, announce: Announce) -> None:
    know(database, "42", "43")
    announce("A", "a")
    announce("B", "b")
    assert titles(database, publisher, "42", {"a"}) == ["A"]
    assert titles(database, publisher, "42", {"a", "b"}) == ["A", "B"]
    announce("C", "a")
    assert titles(database, publisher, "42", set()) == ["A", "B"]
    assert titles(database, publisher, "42", {"a"}) == ["A", "B", "C"]
    assert titles(database, publisher, "42", None) == ["A", "B", "C"]
    announce("D", "a")
    assert titles(database, publisher, "42", None) == ["A", "B", "C", "D"]  # no claim: as before
    assert titles(database, publisher, "43", None) == []


def test_a_claim_and_a_membership_are_one_topic(database: Database, publisher: Publisher, announce: Announce) -> None:
    announcements.change_members(database, "a", ["42"], [])
    announce("A", "a")
    assert titles(database, publisher, "42", {"a"}) == ["A"]
    announcements.change_members(database, "a", [], ["42"])
    announce("B", "a")
    assert titles(database, publisher, "42", {"a"}) == ["A", "B"]
    announcements.change_members(database, "a", ["42"], [])
    assert titles(database, publisher, "42", set()) == ["A", "B"]
    announce("C", "a")
    assert titles(database, publisher, "42", set()) == ["A", "B", "C"]


def test_a_deleted_topic_has_no_members(database: Database, publisher: Publisher, announce: Announce) -> None:
    announcements.change_members(database, "a", [f"u{number:02}" for number in range(25)], [])
    assert announcements.members(database, "a", 20, "")[1] == "u19"
    assert announcements.members(database, "a", 20, "u19") == ([f"u{number}" for number in range(20, 25)], None)
    announcements.delete_topic(database, "a")
    assert announcements.members(database, "a", 20, "") == ([], None)
    announce("A", "a")
    assert titles(database, publisher, "u01") == []


def test_the_content_arrives_whole(database: Database, publisher: Publisher, announce: Announce) -> None:
    know(database, "42")
    later = datetime(2100, 1, 1, tzinfo=UTC)
    fields = {"payload": '{"x":[1]}', "actor": '{"name":"Ann"}', "category": "ops", "priority": "high", "url": "/x"}
    made = announce("A", expires_at=later, **fields)
    announcements.arrive(database, publisher, "42", None)
    [shown] = inbox.page(database, "42", limit=9)[0]
    assert {name: shown.content.columns[name] for name in fields} == fields
    assert (shown.content.columns["expires_at"], shown.created_at) == (later, made.created_at)
    assert inbox.counts(database, "42").by_category == {"ops": 1}


def test_one_of_a_key_replaces_the_one_before(database: Database, publisher: Publisher, announce: Announce) -> None:
    know(database, "42")
    first = announce("tonight", key="maintenance")
    assert titles(database, publisher, "42") == ["tonight"]
    second = announce("tomorrow", key="maintenance")
    assert titles(database, publisher, "42") == ["tomorrow"]
    assert [announcements.find(database, item.id)[0].reached for item in (first, second)] == [1, 1]
    retract.retract_from_everyone(database, publisher, "maintenance")
    know(database, "43")
    assert titles(database, publisher, "42") == titles(database, publisher, "43") == []


def test_reached_and_read_are_exact(database: Database, publisher: Publisher, announce: Announce) -> None:
    know(database, "1", "2", "3", "4")
    made = announce("A")
    for user in "123":
        titles(database, publisher, user)
    inbox.mark_read(database, publisher, "1", None)
    inbox.mark_read(database, publisher, "2", None)
    result, _ = announcements.find(database, made.id)
    assert (result.reached, result.read) == (3, 2)
    for user in "13":  # user 1, who deletes it, counts as reached too
        inbox.delete(database, publisher, user, inbox.page(database, user, limit=1)[0][0].id)
    [result], _ = announcements.page(database, 10, None)
    assert (result.reached, result.read) == (3, 2)


def test_a_deleted_one_leaves_every_inbox(database: Database, publisher: Publisher, announce: Announce) -> None:
    users = [f"u{number}" for number in range(7)]
    know(database, *users)
    made, kept = announce("A"), announce("B")
    for user in users[:5]:
        titles(database, publisher, user)
    announcements.retract(database, publisher, made.id)
    assert {user: titles(database, publisher, user) for user in users} == {user: ["B"] for user in users}
    assert [notification.id for notification in announcements.page(database, 10, None)[0]] == [kept.id]
    with database.autocommit() as db:
        events = log.read_events(db, "u0", 1, 9, 9, datetime.now(UTC))
    assert [event.kind for event in events] == ["notification", "notification", "deleted"]


def test_the_relay_finishes_what_a_deletion_left(
    database: Database, publisher: Publisher, announce: Announce, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [f"u{number}" for number in range(7)]
    know(database, *users)
    made = announce("A")
    for user in users:
        titles(database, publisher, user)
    monkeypatch.setattr(announcements, "BATCH", 1)
    monkeypatch.setattr(announcements, "BATCHES", 3)
    announcements.retract(database, publisher, made.id)
    assert rows(database, "notifications") == 4
    for _ in range(3):
        with database.autocommit() as db:
            assert pending.anything(db, datetime.now(UTC))
        relay.remove_retracted(database, publisher)
    assert (rows(database, "notifications"), rows(database, "announcements")) == (0, 0)


def test_an_expired_one_is_not_taken_over(database: Database, publisher: Publisher, announce: Announce) -> None:
    know(database, "1", "2")
    announce("A", expires_at=datetime.now(UTC) + timedelta(hours=1))
    assert titles(database, publisher, "1") == ["A"]
    with database.transaction() as db:
        for table in ("announcements", "notifications"):
            db.execute(text(f"UPDATE shirase_{table} SET expires_at = :past"), {"past": "2001-01-01 00:00:00.000000Z"})  # noqa: S608
    assert titles(database, publisher, "1") == titles(database, publisher, "2") == []
    repair.remove_expired(database, publisher)
    [result], _ = announcements.page(database, 10, None)
    assert result.reached == 1


def test_old_ones_are_removed(database: Database, publisher: Publisher, settings: Settings, announce: Announce) -> None:
    know(database, "1")
    announce("A")
    with database.transaction() as db:
        past = {"past": "2001-01-01 00:00:00.000000Z"}
        db.execute(text("UPDATE shirase_announcements SET created_at = :past"), past)
    repair.keep_house(settings, database, publisher)
    assert titles(database, publisher, "1") == []
    assert rows(database, "announcements") == 0


def test_more_than_fit_at_once_arrive_in_order(
    database: Database, publisher: Publisher, announce: Announce, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(take_over, "CONSIDERED", 7)
    monkeypatch.setattr(take_over, "PAIRS", 3)
    know(database, "absent", "joins")
    expected = [f"T{number:02}" for number in range(30)]
    for number, title in enumerate(expected):
        announce(title, "a" if number % 2 else EVERYONE, for_newcomers=True)
    assert titles(database, publisher, "absent") == expected[::2]
    announcements.change_members(database, "a", ["absent", "joins"], [])
    assert titles(database, publisher, "joins") == expected
    assert titles(database, publisher, "absent") == expected[::2] + expected[1::2]
