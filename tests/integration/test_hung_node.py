"""A node that hangs costs the users of other nodes nothing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shirase.inbox import notifications
from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from shirase.settings import Settings
from shirase.store import audience, connections, missed
from shirase.store.database import Database
from shirase.types import Draft, StreamConnection
from tests.support.content import content
from tests.support.control_port import HUNG, ControlPort, control_port
from tests.support.loop_thread import wait_until

BOUND = HUNG / 3  # seconds in which everything is done, although an answer of the hung node may take HUNG
CLIENTS = 8
CREATES = 42


@pytest.fixture
def ports() -> Iterator[list[ControlPort]]:
    """Of three nodes. The first accepts connections, and does not answer."""
    with ExitStack() as running:
        opened = [running.enter_context(control_port()) for _ in range(3)]
        opened[0].behaviour = "hang"
        yield opened


@pytest.fixture
def publisher(settings: Settings, ports: list[ControlPort]) -> Publisher:
    return Publisher(replace(settings, grip_url=tuple(port.url for port in ports), publish_timeout=HUNG))


@pytest.fixture
def users(database: Database, ports: list[ControlPort]) -> list[str]:
    """One with a stream on each node."""
    names = [f"of-{number}" for number in range(len(ports))]
    with database.transaction() as db:
        for name, port in zip(names, ports, strict=True):
            connections.add(db, StreamConnection(f"c-{name}", name, node=port.url), datetime.now(UTC))
    return names


def create_all(database: Database, publisher: Publisher, port: ControlPort, users: list[str]) -> None:
    """Create for these users in turn, by several clients, and fail if one waits for the port."""
    batcher = notifications.create_batcher(database, publisher)

    def create(user: str) -> None:
        notifications.create(database, publisher, [Draft(user, content())], batcher=batcher, answer=lambda _: "")

    with ThreadPoolExecutor(CLIENTS) as clients:
        waiting = wait([clients.submit(create, users[n % len(users)]) for n in range(CREATES)], BOUND).not_done
        port.released.set()
    assert not waiting


def test_a_hung_node_delays_no_create_for_other_nodes(
    database: Database, publisher: Publisher, ports: list[ControlPort], users: list[str]
) -> None:
    """No relay knows what it holds, so all events are for it too; it gets them when it answers again."""
    create_all(database, publisher, ports[0], users[1:])
    assert [len(port.items) for port in ports] == [0, CREATES, CREATES]
    ports[0].behaviour = "accept"

    def is_repaired() -> bool:
        assert repair.repair(database, publisher).complete
        with database.autocommit() as db:
            return not missed.of_node(db, ports[0].url, CREATES)

    wait_until(is_repaired, BOUND, "it was not repaired")
    assert {item["channel"] for item in ports[0].items} == {item["channel"] for item in ports[1].items}


def test_creates_for_a_hung_node_delay_no_others(
    database: Database, publisher: Publisher, ports: list[ControlPort], users: list[str]
) -> None:
    with database.transaction() as db:
        for port in ports:
            audience.mark(db, port.url, datetime.now(UTC) + timedelta(hours=1))
    create_all(database, publisher, ports[0], users)
    assert [len(port.items) for port in ports] == [0, CREATES / 3, CREATES / 3]
    with database.autocommit() as db:
        assert set(missed.of_node(db, ports[0].url, CREATES)) == {users[0]}
