"""A node's statistics: which connections it holds, as it tells them over ZeroMQ. The only importer of ``zmq``.

A node tells when a channel gets its first subscriber and loses its last, each within about a millisecond, and repeats
every channel within three quarters of ``stats_subscription_ttl``. It never tells all at once, and what is told while
nobody listens is not told again before its turn (docs/pushpin.md, Who is connected).
"""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
import zmq
from zmq.utils.monitor import parse_monitor_message

# How every message of a connection begins: Pushpin writes the keys in the order of the alphabet (1.36 and 1.41, tried).
# The node itself passes on nothing else, so that users' channels, which are as many, cost next to nothing.
OF_CONNECTION = b'sub J{"channel":"c-'
_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")
HEARTBEAT, SILENCE = 1000, 3000  # milliseconds: a line that is dead without a word is noticed after this silence
RECONNECT, SLOWEST_RECONNECT = 100, 1000  # milliseconds
MOST_AT_ONCE = 5000  # messages, before what they say is dealt with


@dataclass(frozen=True, slots=True)
class Heard:
    """What a node says of one connection."""

    node: str
    connection_id: str
    ttl: float  # seconds until it is said again, at the most; 0 if the connection has ended
    instance: str  # the process that says it: another one does not hold what this one held


class Statistics:
    """Listens to all nodes, in one thread."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        """Begin to connect; an address that nothing listens on is tried for ever.

        Args:
            addresses: of each node, by its name, such as ``tcp://127.0.0.1:8002``.
        """
        self.connected_since: dict[str, float] = {}  # the nodes that are heard, with the time.monotonic() from when on
        self.is_behind = False  # whether more was said than ``heard`` has given
        self._context = zmq.Context()
        self._poller = zmq.Poller()
        self._sockets: dict[zmq.Socket[bytes], str] = {}
        self._monitors: dict[zmq.Socket[bytes], str] = {}
        for node, address in addresses.items():
            self._connect(node, address)

    def close(self) -> None:
        """Let go of all nodes."""
        for socket in self._sockets:
            socket.disable_monitor()
        self._context.destroy(linger=0)

    def wait(self, seconds: float) -> None:
        """Until something is said, or the time is over; then it is known which nodes are heard."""
        ready = dict(self._poller.poll(int(seconds * 1000)))
        for monitor, node in self._monitors.items():
            if monitor in ready:
                self._notice(monitor, node)

    def heard(self) -> Iterator[Heard]:
        """What was said, one after the other, ``MOST_AT_ONCE`` of a node."""
        self.is_behind = False
        for socket, node in self._sockets.items():
            yield from self._read(socket, node)

    def _read(self, socket: "zmq.Socket[bytes]", node: str) -> Iterator[Heard]:
        for _ in range(MOST_AT_ONCE):
            try:
                message = socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            if heard := parse(node, message):
                yield heard
        self.is_behind = True

    def _connect(self, node: str, address: str) -> None:
        socket: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, 0)  # what we are slow to read is kept here; at the node it would be dropped
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, SILENCE)
        socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT)
        socket.setsockopt(zmq.RECONNECT_IVL_MAX, SLOWEST_RECONNECT)
        socket.setsockopt(zmq.IPV6, 1)
        socket.setsockopt(zmq.SUBSCRIBE, OF_CONNECTION)
        monitor: Any = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        socket.connect(address)
        self._sockets[socket], self._monitors[monitor] = node, node
        self._poller.register(socket, zmq.POLLIN)
        self._poller.register(monitor, zmq.POLLIN)

    def _notice(self, monitor: "zmq.Socket[bytes]", node: str) -> None:
        while monitor.poll(0):
            happened = parse_monitor_message(monitor.recv_multipart())["event"]
            self.connected_since.pop(node, None)
            if happened == zmq.EVENT_HANDSHAKE_SUCCEEDED:
                self.connected_since[node] = time.monotonic()


def parse(node: str, message: bytes) -> Heard | None:
    """Read one message; ``None`` if it is not of a connection, or not as Pushpin writes it in JSON."""
    if not message.startswith(OF_CONNECTION):
        return None
    connection_id, _, rest = message[len(OF_CONNECTION) :].partition(b'"')
    said = _read_rest(rest)
    return Heard(node, connection_id.decode(), *said) if said and _ID.fullmatch(connection_id) else None


@lru_cache(64)  # it is the same for all streams of a node
def _read_rest(rest: bytes) -> tuple[float, str] | None:
    """What follows the channel: for how many seconds it is so, and who says it."""
    try:
        said = orjson.loads(b'{"channel":""' + rest)
        ttl = 0.0 if said.get("unavailable") else float(said["ttl"])
        return (ttl, str(said["from"])) if said["mode"] == "stream" else None
    except (ValueError, KeyError, TypeError):
        return None
