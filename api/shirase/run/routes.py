"""A node's routes, with host names replaced by their current addresses.

Pushpin's zurl caches the address of a name for about a minute, in which handlers that have moved would be unreachable.
So its routes have addresses only, and are rewritten when a name resolves to others.
"""

import logging
import signal
import socket
import threading
from collections.abc import Iterable
from ipaddress import ip_address
from types import TracebackType
from typing import Self

from shirase.run.node import ProxyConfig, write_routes
from shirase.run.processes import Child

log = logging.getLogger(__name__)

POLL = 1.0  # seconds between two lookups
PATIENCE = 3.0  # seconds that a start waits for the first lookup; until it succeeds, only the standby gets requests

Addresses = dict[str, str]  # HOST:PORT as configured, and the targets that a route gets for it


class Routes:
    """Looks names up in a thread while the node runs; without names there is no thread."""

    def __init__(self, config: ProxyConfig, node: Child) -> None:
        """Prepare. The node's configuration is written, and the node is not started."""
        self._config = config
        self._node = node
        self._first = threading.Event()
        self._named = [place for place in {config.origin, *config.mounts.values()} if not _is_number(place)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="routes", daemon=True)

    def __enter__(self) -> Self:
        """Begin the lookups, and write the first routes."""
        if self._named:
            write_routes(self._config, dict.fromkeys(self._named, ""))
            self._thread.start()
            self._first.wait(PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, without waiting for a hanging lookup."""
        self._stop.set()

    def _watch(self) -> None:
        known = dict.fromkeys(self._named, "")
        due = False
        while not self._stop.is_set():
            addresses = look_up(self._named, known)
            if addresses != known:
                log.warning("routes: %s", ", ".join(f"{place} is {at or 'unknown'}" for place, at in addresses.items()))
                write_routes(self._config, addresses)
                known, due = addresses, True
            self._first.set()
            # Signal only the program that reads the routes: Pushpin's runner would forward it to starting programs.
            if due and self._node.signal_program("pushpin-proxy", signal.SIGHUP):
                due = False
            self._stop.wait(POLL)


def look_up(places: Iterable[str], known: Addresses) -> Addresses:
    """The targets of each name. If the resolver fails, they stay; a name that no longer exists has none."""
    current = {}
    for place in places:
        host, _, port = place.rpartition(":")
        try:
            rows = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
        except socket.gaierror as exc:
            current[place] = known.get(place, "") if exc.errno == socket.EAI_AGAIN else ""
        else:  # IPv4 first, in a stable order, because a change would cause a reload
            addresses = sorted({str(row[4][0]) for row in rows}, key=lambda address: (":" in address, address))
            current[place] = " ".join(f"[{each}]:{port}" if ":" in each else f"{each}:{port}" for each in addresses)
    return current


def _is_number(place: str) -> bool:
    try:
        return bool(ip_address(place.rpartition(":")[0].strip("[]")))
    except ValueError:
        return False
