"""How the relay processes nodes' statistics, which a test sends from sockets of its own."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from shirase.errors import DatabaseUnavailable
from shirase.inbox import connections
from shirase.proxy import grip
from shirase.relay import presence
from shirase.relay.presence import LOST, REREADS, TICK
from shirase.store import connections as table
from shirase.store import registry
from shirase.store.database import Database
from tests.integration.presence.voices import BOUND, MakePresence, Voice, enter, held_by, live, turn_until
from tests.support.control_port import ControlPort
from tests.support.loop_thread import wait_until


def test_what_is_announced_is_entered_and_what_has_left_is_gone(
    database: Database, listen: MakePresence, voices: list[Voice], ports: list[ControlPort]
) -> None:
    enter(database, "a1", "b2", "c3")
    relay = listen()
    voices[0].announce("a1", "b2")
    voices[1].announce("c3")
    turn_until(lambda: held_by(database, ports[0].url) == {"a1", "b2"}, relay)
    turn_until(lambda: held_by(database, ports[1].url) == {"c3"}, relay)
    voices[0].announce_left("a1")
    turn_until(lambda: live(database) == {"b2", "c3"}, relay)
    voices[0].announce("a1")
    turn_until(lambda: live(database) == {"a1", "b2", "c3"}, relay)


def test_an_unknown_or_ended_stream_is_read_again(
    database: Database, listen: MakePresence, voices: list[Voice], ports: list[ControlPort]
) -> None:
    enter(database, "ended", "fine")
    with database.transaction() as db:
        table.end(db, ["ended"], connections.REVOKED, datetime.now(UTC))
    relay = listen()
    voices[0].announce("ended", "fine", "unknown")
    turn_until(lambda: len(ports[0].items) >= 2, relay)
    hinted = {item["channel"] for item in ports[0].items}
    assert hinted == {grip.connection_channel("ended"), grip.connection_channel("unknown")}
    assert all(item["formats"]["http-stream"] == {"action": "hint"} for item in ports[0].items)
    assert ports[1].items == []
    assert live(database) == {"fine"}


def test_a_stream_that_does_not_change_is_not_written(
    database: Database, listen: MakePresence, voices: list[Voice], ports: list[ControlPort]
) -> None:
    enter(database, "a1")
    relay = listen()
    voices[0].announce("a1")
    turn_until(lambda: held_by(database, ports[0].url) == {"a1"}, relay)
    written: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(
            ("UPDATE shirase_connections", "INSERT INTO shirase_connections", "DELETE FROM shirase_connections")
        ):
            written.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    for _ in range(20):
        voices[0].announce("a1")
        relay.turn()
    event.remove(database.engine, "before_cursor_execute", note)
    assert [statement for statement in written if "SET node" in statement or "ended_at=" in statement] == []


def test_many_unknown_streams_are_read_again_in_turns(
    listen: MakePresence, voices: list[Voice], ports: list[ControlPort]
) -> None:
    relay = listen()
    unknown = [f"unknown-{number}" for number in range(3 * REREADS)]

    def all_are_read() -> bool:
        voices[0].announce(*unknown)
        return {item["channel"] for item in ports[0].items} == {grip.connection_channel(entry) for entry in unknown}

    turn_until(all_are_read, relay)


def test_a_row_that_was_lost_is_made_again_and_held_again(
    database: Database,
    listen: MakePresence,
    voices: list[Voice],
    ports: list[ControlPort],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(presence, "COMPARE", 0.2)
    enter(database, "lost", "kept")
    relay = listen()

    def go_on() -> set[str]:
        voices[0].announce("lost", "kept")
        voices[1].announce("of-another")
        return held_by(database, ports[0].url)

    turn_until(lambda: go_on() == {"lost", "kept"}, relay)
    with database.transaction() as db:
        db.execute(text("DELETE FROM shirase_connections WHERE connection_id = 'lost'"))
    turn_until(lambda: go_on() and ports[0].items, relay)
    assert {item["channel"] for item in ports[0].items} == {grip.connection_channel("lost")}
    enter(database, "lost")  # as its stream's recovery does
    turn_until(lambda: go_on() == {"lost", "kept"}, relay)


def test_a_connection_that_is_not_repeated_in_time_has_left(
    database: Database, listen: MakePresence, voices: list[Voice]
) -> None:
    enter(database, "lasting", "lost", "never")
    relay = listen()
    for voice in voices:
        voice.announce("of-another")
    voices[0].announce("lasting", "lost")

    def goes_on() -> bool:
        voices[0].announce("lasting")
        return live(database) == {"lasting"}

    turn_until(goes_on, relay)


def test_a_restarted_node_does_not_hold_its_former_streams(
    database: Database, listen: MakePresence, voices: list[Voice], ports: list[ControlPort]
) -> None:
    """It may restart so quickly that the connection's loss goes unnoticed."""
    enter(database, "a1", "b2", "c3")
    relay = listen()
    voices[0].announce("a1", "b2")
    voices[1].announce("c3")
    turn_until(lambda: held_by(database, ports[0].url) == {"a1", "b2"}, relay)
    voices[0].instance = "pushpin-handler_2"
    voices[0].announce("b2")
    turn_until(lambda: live(database) == {"b2", "c3"}, relay)


def test_more_rows_than_are_read_at_once_are_compared(
    database: Database,
    listen: MakePresence,
    voices: list[Voice],
    ports: list[ControlPort],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(registry, "PAGE", 3)
    names = [f"c-{number}" for number in range(12)]
    enter(database, *names)
    relay = listen()
    voices[0].announce(*names)
    turn_until(lambda: held_by(database, ports[0].url) == set(names), relay)
    voices[0].instance = "pushpin-handler_2"
    voices[0].announce(*names[::3])
    turn_until(lambda: live(database) == set(names[::3]), relay)


def test_streams_of_a_lost_node_are_gone_until_it_returns(
    database: Database, listen: MakePresence, voices: list[Voice], ports: list[ControlPort]
) -> None:
    enter(database, "a1", "b2")
    relay = listen()
    voices[0].announce("a1")
    voices[1].announce("b2")
    turn_until(lambda: held_by(database, ports[0].url) and held_by(database, ports[1].url), relay)

    def live_while_repeated(*repeated: tuple[Voice, str]) -> set[str]:
        """Return the live connections; a node repeats what it holds, or it would expire on a slow machine."""
        for voice, connection_id in repeated:
            voice.announce(connection_id)
        return live(database)

    voices[0].fall_silent()
    turn_until(lambda: live_while_repeated((voices[1], "b2")) == {"b2"}, relay)
    voices[0].speak()
    voices[0].wait_listener()
    turn_until(lambda: live_while_repeated((voices[0], "a1"), (voices[1], "b2")) == {"a1", "b2"}, relay)


def test_a_node_that_one_relay_receives_keeps_its_streams(
    database: Database, listen: MakePresence, voices: list[Voice], ports: list[ControlPort]
) -> None:
    enter(database, "a1")
    hearing = listen()
    deaf = listen(["tcp://127.0.0.1:1", "tcp://127.0.0.1:1"])
    voices[0].announce("a1")
    turn_until(lambda: held_by(database, ports[0].url) == {"a1"}, hearing, deaf)
    turns = int((LOST + 3 * TICK) / 0.2)
    for _ in range(turns):
        voices[0].announce("a1")
        hearing.turn()
        deaf.turn()
        assert live(database) == {"a1"}


def test_statistics_are_kept_during_an_outage_of_the_database(
    database: Database, listen: MakePresence, voices: list[Voice], ports: list[ControlPort]
) -> None:
    enter(database, "a1", "b2")
    relay = listen()
    voices[0].announce("a1", "b2")
    turn_until(lambda: held_by(database, ports[0].url) == {"a1", "b2"}, relay)
    with database.transaction() as db:
        db.execute(text("ALTER TABLE shirase_connections RENAME TO hidden"))
    voices[0].announce_left("a1")

    def meets_it() -> bool:
        try:
            relay.turn()
        except (DatabaseUnavailable, DBAPIError):  # SQLite's and PostgreSQL's errors
            return True
        return False

    wait_until(meets_it, BOUND, "it does not meet the outage")
    with database.transaction() as db:
        db.execute(text("ALTER TABLE hidden RENAME TO shirase_connections"))
    turn_until(lambda: live(database) == {"b2"}, relay)
