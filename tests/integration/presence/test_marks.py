"""Marks: a node counts for all users until every stream that it announces has a row."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from sqlalchemy import text

from shirase.inbox import audience as audiences
from shirase.proxy import grip
from shirase.proxy.publisher import Publisher
from shirase.relay.presence import Presence
from shirase.settings import Settings
from shirase.store import audience, registry
from shirase.store import connections as table
from shirase.store.database import Database
from shirase.types import StreamConnection
from tests.integration.presence.voices import USER, MakePresence, Voice, held_by, live, turn_until
from tests.support.control_port import ControlPort


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
