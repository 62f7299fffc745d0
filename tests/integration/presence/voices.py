"""What tests of presence share: nodes' statistics, and the registry's state."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import zmq

from shirase.relay.presence import Presence
from shirase.store import connections as table
from shirase.store import registry
from shirase.store.database import Database
from shirase.types import StreamConnection
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
