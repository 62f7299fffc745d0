"""After a log went back in time, by a restored backup or a failover, every device gets a ``reset``."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from shirase.inbox import connections, cursors, streams
from shirase.inbox.replay import REWOUND
from shirase.proxy import grip
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import append, log, marks
from shirase.store.database import Database
from shirase.types import PUBLISH, Draft, Event, Published
from tests.support.backup import restore, take_backup
from tests.support.content import content
from tests.support.event_ids import cursor, event_id
from tests.support.event_stream import Dispatched, parse

USER = "42"
REGROWN = [0, 1, 2, 3, 4, 7]  # events after the restore: before the lost head, at it and beyond


def append_some(database: Database, count: int) -> Sequence[Event]:
    with database.transaction() as db:
        appended = append.append_notifications(db, [Draft(USER, content())] * count, datetime.now(UTC))
    return [event for event in appended if event]


def rewind(database: Database, regrown: int) -> Sequence[Event]:
    """Create five events and three more, go back to five, create others in their place; return the three lost ones."""
    append_some(database, 5)
    backup = take_backup(database)
    lost = append_some(database, 3)
    restore(database, backup)
    for _ in range(regrown):
        append_some(database, 1)
    return lost


def opened(database: Database, settings: Settings, seen: str) -> list[Dispatched]:
    stream = connections.new(settings, USER, None, "", "")
    return parse(streams.open_stream(database, Publisher(settings), settings, stream, seen).body).events


def cursor_of(database: Database, event: Event) -> str:
    return cursors.encode(database.name, USER, event.id)


@pytest.mark.parametrize("regrown", REGROWN)
def test_a_device_that_saw_what_was_lost_is_reset(database: Database, settings: Settings, regrown: int) -> None:
    for event in rewind(database, regrown):
        connected, reset = opened(database, settings, cursor_of(database, event))
        assert (connected.event, reset.event, reset.json()) == ("connected", "reset", {"reason": REWOUND})
        assert reset.id == cursor(database, USER, 5 + regrown)
        polled = json.loads(streams.poll(database, settings, USER, cursor_of(database, event), 20).body)
        assert [item["event"] for item in polled["events"]] == ["reset"]


@pytest.mark.parametrize("regrown", REGROWN)
def test_a_held_stream_that_carried_what_was_lost_is_reset(
    database: Database, settings: Settings, regrown: int
) -> None:
    for event in rewind(database, regrown):
        answer = streams.recover(database, Publisher(settings), settings, grip.Last(USER, "0a1b", event.id))
        (reset,) = parse(answer.body).events
        assert (reset.event, reset.id) == ("reset", cursor(database, USER, 5 + regrown))
        assert f"prev-id={event_id(database, USER, 5 + regrown)}," in answer.headers("GET")["Grip-Channel"]


@pytest.mark.parametrize("regrown", REGROWN)
def test_a_device_that_saw_only_what_was_kept_goes_on(database: Database, settings: Settings, regrown: int) -> None:
    rewind(database, regrown)
    result = opened(database, settings, cursor(database, USER, 5))
    assert [event.event for event in result] == ["connected"] + ["notification"] * regrown


def test_an_event_after_a_restore_does_not_follow_the_lost_one(database: Database) -> None:
    lost = rewind(database, 0)
    (new,) = append_some(database, 1)
    assert (new.seq, new.previous) == (lost[0].seq, lost[0].previous)
    assert new.id != lost[0].id
    assert append_some(database, 1)[0].previous == new.id


@pytest.mark.parametrize("counts", [(1, 1), (3, 1, 2), (1, 5), (60, 60)])
def test_every_event_follows_the_one_before_it(database: Database, counts: Sequence[int]) -> None:
    appended = [event for count in counts for event in append_some(database, count)]
    with database.autocommit() as db:
        stored = log.read_events(db, USER, 1, 1000, 1000, datetime.now(UTC))
        at = log.position(db, USER, datetime.now(UTC))
    assert [(event.id, event.previous) for event in stored] == [(event.id, event.previous) for event in appended]
    assert [event.previous for event in stored[1:]] == [event.id for event in stored[:-1]]
    assert str(stored[0].previous) == "0"
    assert at.last == stored[-1].id


def test_a_lost_event_does_not_mark_the_one_in_its_place(database: Database) -> None:
    """A handler marks a lost event published after a failover: the event in its place stays unpublished."""
    lost = rewind(database, 3)
    now = datetime.now(UTC)
    sent = {Published(frozenset({"node"})): lost}
    with database.transaction() as db:
        marks.mark_published(db, sent, now, way=PUBLISH, committed_at=now)
        waiting = log.unpublished(db, ("", 0), 100, now)
    assert {event.seq for event in lost} <= {event.seq for event in waiting}
