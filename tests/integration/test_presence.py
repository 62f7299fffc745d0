"""How the relay processes nodes' statistics, which a test sends from sockets of its own."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import zmq
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from shirase.errors import DatabaseUnavailable
from shirase.inbox import audience as audiences
from shirase.inbox import connections
from shirase.proxy import grip
from shirase.proxy.publisher import Publisher
from shirase.proxy.statistics import Report, parse
from shirase.relay import presence
from shirase.relay.presence import LOST, REREADS, TICK, Presence
from shirase.settings import Settings
from shirase.store import audience, registry
from shirase.store import connections as table
from shirase.store.database import Database
from shirase.types import StreamConnection
from tests.support.control_port import ControlPort, control_port
from tests.support.loop_thread import wait_until
from tests.support.stack import free_ports

BOUND = 15.0
TTL = 2  # seconds in which a node repeats everything
USER = "42"

MakePresence = Callable[..., Presence]


class Voice:
    """A node's statistics."""

    def __init__(self) -> None:
        self.address = f"tcp://127.0.0.1:{free_ports(1)[0]}"
        self.instance = "pushpin-handler_1"
        self._context = zmq.Context()
        self._socket: zmq.Socket[bytes] | None = None
        self.speak()

    def speak(self) -> None:
        self._socket = self._context.socket(zmq.XPUB)
        self._socket.bind(self.address)

    def fall_silent(self) -> None:
        if self._socket:
            self._socket.close(linger=0)
        self._socket = None

    def wait_listener(self) -> None:
        """Wait until a relay has subscribed."""
        assert self._socket
        assert self._socket.poll(int(BOUND * 1000))
        self._socket.recv()

    def announce(self, *connection_ids: str, **more: Any) -> None:
        """Report these connections as held."""
        for connection_id in connection_ids:
            body = {"channel": f"c-{connection_id}", "mode": "stream", "from": self.instance, "ttl": TTL} | more
            assert self._socket
            self._socket.send(b"sub J" + json.dumps(body, separators=(",", ":")).encode())

    def announce_left(self, *connection_ids: str) -> None:
        self.announce(*connection_ids, unavailable=True)

    def close(self) -> None:
        self.fall_silent()
        self._context.destroy(linger=0)


@pytest.fixture
def voices() -> Iterator[list[Voice]]:
    with ExitStack() as speaking:
        yield [speaking.enter_context(closing(Voice())) for _ in range(2)]


@pytest.fixture
def ports() -> Iterator[list[ControlPort]]:
    with ExitStack() as running:
        yield [running.enter_context(control_port()) for _ in range(2)]


@pytest.fixture
def listen(
    settings: Settings, database: Database, voices: list[Voice], ports: list[ControlPort]
) -> Iterator[MakePresence]:
    """Return a factory of relays' presences, which by default receive both nodes."""
    with ExitStack() as running:

        def make(addresses: list[str] | None = None) -> Presence:
            arguments = [voice.address for voice in voices] if addresses is None else addresses
            chosen = replace(settings, grip_url=tuple(port.url for port in ports), pushpin_stats_url=tuple(arguments))
            made = running.enter_context(Presence(chosen, database, Publisher(chosen)))
            for voice in voices:
                if voice.address in arguments:
                    voice.wait_listener()
            return made

        yield make


def enter(database: Database, *connection_ids: str) -> None:
    with database.transaction() as db:
        for connection_id in connection_ids:
            table.add(db, StreamConnection(connection_id, USER), datetime.now(UTC))


def live(database: Database) -> set[str]:
    with database.autocommit() as db:
        return set(table.of_user(db, USER))


def turn_until(condition: Callable[[], object], *relays: Presence, otherwise: str = "it does not come to that") -> None:
    def holds() -> bool:
        for relay in relays:
            relay.turn()
        return bool(condition())

    wait_until(holds, BOUND, otherwise)


def held_by(database: Database, node: str) -> set[str]:
    with database.autocommit() as db:
        return {connection_id for connection_id, _ in registry.of_node(db, node, datetime.now(UTC))}


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


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"sub ",
        b"sub J",
        b"sub J{",
        b"sub J[]",
        b"sub J3",
        b'sub J{"channel":3,"mode":"stream","ttl":15,"from":"p"}',
        b'sub J{"channel": "c-", "mode": "stream", "ttl": 15, "from": "p"}',
        b'sub J{"channel": "u-YQ", "mode": "stream", "ttl": 15, "from": "p"}',
        b'sub J{"channel": "c-a b", "mode": "stream", "ttl": 15, "from": "p"}',
        b'sub J{"channel": "c-a", "mode": "response", "ttl": 15, "from": "p"}',
        b'sub J{"channel": "c-a", "mode": "stream", "ttl": "x", "from": "p"}',
        b'sub J{"channel": "c-a", "mode": "stream", "from": "p"}',
        b'sub T{"channel": "c-a", "mode": "stream", "ttl": 15, "from": "p"}',
        b'conn J{"channel": "c-a", "mode": "stream", "ttl": 15, "from": "p"}',
        b"sub J\xff\xfe",
    ],
)
def test_what_is_not_of_a_connection_means_nothing(message: bytes) -> None:
    assert parse("n", message) is None


def test_pushpins_messages_are_parsed() -> None:
    """As recorded from 1.36."""
    held = b'sub J{"channel":"c-9edb-6b","from":"pushpin-handler_8","mode":"stream","subscribers":1,"ttl":15}'
    left = b'sub J{"channel":"c-9edb-6b","from":"pushpin-handler_8","mode":"stream","unavailable":true}'
    assert parse("n", held) == Report("n", "9edb-6b", 15.0, "pushpin-handler_8")
    assert parse("n", left) == Report("n", "9edb-6b", 0.0, "pushpin-handler_8")


def counted_at(database: Database, publisher: Publisher) -> frozenset[str]:
    """Where an event of the user is posted."""
    return audiences.of(database, publisher, [USER])[USER]


def enter_at(database: Database, node: str, *connection_ids: str) -> None:
    with database.transaction() as db:
        for connection_id in connection_ids:
            table.add(db, StreamConnection(connection_id, USER, node=node), datetime.now(UTC))


@pytest.fixture
def relay_of_both(listen: MakePresence, voices: list[Voice]) -> tuple[Presence, Callable[..., None]]:
    """A relay of two nodes that repeat what they hold, and a function that runs it until a condition holds."""
    relay = listen()

    def run_until(condition: Callable[[], object], *held: str) -> None:
        def repeat() -> bool:
            voices[0].announce(*held)
            voices[1].announce("of-another")
            return bool(condition())

        turn_until(repeat, relay)

    return relay, run_until


def test_a_node_is_marked_once_every_stream_has_a_row(
    settings: Settings,
    database: Database,
    ports: list[ControlPort],
    relay_of_both: tuple[Presence, Callable[..., None]],
) -> None:
    publisher = Publisher(replace(settings, grip_url=tuple(port.url for port in ports)))
    _, run_until = relay_of_both
    enter_at(database, ports[0].url, "a1")
    assert counted_at(database, publisher) == set(publisher.nodes)
    with database.transaction() as db:
        table.add(db, StreamConnection("of-another", "another", node=ports[1].url), datetime.now(UTC))
    run_until(lambda: counted_at(database, publisher) == {ports[0].url}, "a1")
    with database.transaction() as db:
        db.execute(text("DELETE FROM shirase_connections"))
    assert counted_at(database, publisher) == set(publisher.nodes)
    run_until(lambda: ports[0].items and ports[1].items, "a1")  # hints: both streams are read again
    assert counted_at(database, publisher) == set(publisher.nodes)
    enter_at(database, ports[0].url, "a1")  # as the recoveries do
    with database.transaction() as db:
        table.add(db, StreamConnection("of-another", "another", node=ports[1].url), datetime.now(UTC))
    run_until(lambda: counted_at(database, publisher) == {ports[0].url}, "a1")


def test_a_single_node_is_marked_too(
    settings: Settings, database: Database, voices: list[Voice], ports: list[ControlPort]
) -> None:
    chosen = replace(settings, grip_url=(ports[0].url,), pushpin_stats_url=(voices[0].address,))
    publisher = Publisher(chosen)
    enter_at(database, ports[0].url, "a1")
    users = [USER, *(f"without-{number}" for number in range(audiences.MANY))]

    def leaves_out_the_rest() -> bool:
        voices[0].announce("a1")
        return [user for user, nodes in audiences.of(database, publisher, users).items() if nodes] == [USER]

    with Presence(chosen, database, publisher) as relay:
        voices[0].wait_listener()
        turn_until(leaves_out_the_rest, relay)


def test_a_stream_that_may_have_missed_an_event_is_read_again(
    database: Database, ports: list[ControlPort], relay_of_both: tuple[Presence, Callable[..., None]]
) -> None:
    """It was gone for longer than its row counts, or its row named another node."""
    relay, run_until = relay_of_both
    long_ago = datetime.now(UTC) - 2 * audience.RECENT
    enter_at(database, ports[0].url, "long-gone", "just-gone", "fine")
    enter_at(database, ports[1].url, "elsewhere")
    with database.transaction() as db:
        registry.departed(db, ["long-gone"], long_ago)
        registry.departed(db, ["just-gone"], datetime.now(UTC))
    relay._nodes[ports[0].url].incomplete_since = datetime.now(UTC)  # noqa: SLF001 - as if marked until now
    held = ("long-gone", "just-gone", "fine", "elsewhere")
    run_until(lambda: held_by(database, ports[0].url) == set(held), *held)
    hinted = {item["channel"] for item in ports[0].items}
    assert hinted == {grip.connection_channel("long-gone"), grip.connection_channel("elsewhere")}


def test_an_entered_stream_that_is_never_announced_is_gone(
    database: Database, ports: list[ControlPort], relay_of_both: tuple[Presence, Callable[..., None]]
) -> None:
    _, run_until = relay_of_both
    enter_at(database, ports[0].url, "a1", "b2")
    run_until(lambda: live(database) == {"a1"}, "a1")
    enter_at(database, ports[0].url, "c3")  # when the node has long repeated everything
    run_until(lambda: live(database) == {"a1"}, "a1")


def test_the_registry_is_compared_after_a_new_session(
    database: Database, ports: list[ControlPort], relay_of_both: tuple[Presence, Callable[..., None]]
) -> None:
    relay, run_until = relay_of_both
    enter_at(database, ports[0].url, "a1")
    node = relay._nodes[ports[0].url]  # noqa: SLF001
    run_until(lambda: node.complete, "a1")
    with database.transaction() as db:
        db.execute(text("DELETE FROM shirase_connections WHERE connection_id = 'a1'"))  # as a crash does
    database.engine.dispose()
    run_until(lambda: any(item["channel"] == grip.connection_channel("a1") for item in ports[0].items), "a1")
    assert not node.complete
