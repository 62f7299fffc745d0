"""A node's statistics over ZeroMQ: which connections it holds. The only importer of ``zmq``.

A node reports a channel's first subscriber and the departure of its last, each within about a millisecond, and repeats
every channel within three quarters of ``stats_subscription_ttl``. There is no snapshot: a message sent while
nobody listens is received only when it is repeated (docs/pushpin.md, "Who is connected").
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

# The prefix of every message about a connection: Pushpin writes the keys in alphabetical order (1.36, 1.41).
# The node filters by it, so the messages about users' channels, half of the total, cost next to nothing.
OF_CONNECTION = b'sub J{"channel":"c-'
_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")
HEARTBEAT, SILENCE = 1000, 3000  # milliseconds of silence after which a peer counts as dead
RECONNECT, SLOWEST_RECONNECT = 100, 1000  # milliseconds
MOST_AT_ONCE = 5000  # messages read before they are processed


@dataclass(frozen=True, slots=True)
class Report:
    """One message of a node about one connection."""

    node: str
    connection_id: str
    ttl: float  # seconds until it is repeated at the latest; 0 if the connection has ended
    instance: str  # the reporting process: its successor does not hold the same connections


class Statistics:
    """Subscribes to the statistics of all nodes, in one thread."""

    def __init__(self, addresses: Mapping[str, str]) -> None:
        """Begin to connect. An address without a listener is retried forever.

        Args:
            addresses: by node name, such as ``tcp://127.0.0.1:8002``.
        """
        self.connected_since: dict[str, float] = {}  # connected nodes, with the time.monotonic() of the connect
        self.is_behind = False  # whether ``reports`` left messages unread
        self._context = zmq.Context()
        self._poller = zmq.Poller()
        self._sockets: dict[zmq.Socket[bytes], str] = {}
        self._monitors: dict[zmq.Socket[bytes], str] = {}
        for node, address in addresses.items():
            self.connect(node, address)

    def close(self) -> None:
        """Close all connections."""
        for socket in self._sockets:
            socket.disable_monitor()
        self._context.destroy(linger=0)

    def wait(self, seconds: float) -> None:
        """Wait up to ``seconds`` for a message, and update ``connected_since``."""
        ready = dict(self._poller.poll(int(seconds * 1000)))
        for monitor, node in self._monitors.items():
            if monitor in ready:
                self._notice(monitor, node)

    def reports(self) -> Iterator[Report]:
        """The messages that have arrived, at most ``MOST_AT_ONCE`` of each node."""
        self.is_behind = False
        for socket, node in self._sockets.items():
            yield from self._read(socket, node)

    def _read(self, socket: "zmq.Socket[bytes]", node: str) -> Iterator[Report]:
        for _ in range(MOST_AT_ONCE):
            try:
                message = socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            if report := parse(node, message):
                yield report
        self.is_behind = True

    def disconnect(self, node: str) -> None:
        """Forget a node."""
        for socket in [socket for socket, name in self._sockets.items() if name == node]:
            socket.disable_monitor()
            self._poller.unregister(socket)
            del self._sockets[socket]
            socket.close(linger=0)
        for monitor in [monitor for monitor, name in self._monitors.items() if name == node]:
            self._poller.unregister(monitor)
            del self._monitors[monitor]
            monitor.close(linger=0)
        self.connected_since.pop(node, None)

    def connect(self, node: str, address: str) -> None:
        """Begin to connect to one more node."""
        socket: zmq.Socket[bytes] = self._context.socket(zmq.SUB)
        socket.setsockopt(zmq.RCVHWM, 0)  # queue without a limit here, because the node would drop messages
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, SILENCE)
        # Else a connect while packets are lost takes minutes, and a handshake 30 s.
        socket.setsockopt(zmq.CONNECT_TIMEOUT, SILENCE)
        socket.setsockopt(zmq.HANDSHAKE_IVL, SILENCE)
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


def parse(node: str, message: bytes) -> Report | None:
    """Parse one message; ``None`` if it is not about a connection, or not of the form that Pushpin writes."""
    if not message.startswith(OF_CONNECTION):
        return None
    connection_id, _, rest = message[len(OF_CONNECTION) :].partition(b'"')
    report = _read_rest(rest)
    return Report(node, connection_id.decode(), *report) if report and _ID.fullmatch(connection_id) else None


@lru_cache(64)  # the same for all connections of a node
def _read_rest(rest: bytes) -> tuple[float, str] | None:
    """Parse the message after the channel: TTL in seconds, and reporting process."""
    try:
        report = orjson.loads(b'{"channel":""' + rest)
        ttl = 0.0 if report.get("unavailable") else float(report["ttl"])
        return (ttl, str(report["from"])) if report["mode"] == "stream" else None
    except (ValueError, KeyError, TypeError):
        return None
