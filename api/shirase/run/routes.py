"""A node's routes, kept on the present addresses of the hosts that they name.

Pushpin's zurl remembers the address of a name for about a minute, so that handlers which came back elsewhere would be
unreachable for as long. It is therefore given addresses only, and new ones when a name leads elsewhere.
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
PATIENCE = 3.0  # seconds that a start waits for the first one; until it is there, nobody is asked but the standby

Addresses = dict[str, str]  # HOST:PORT as configured, and the targets that a route gets for it


class Routes:
    """Looks the names up in a thread of its own, around the node's life; an address of numbers needs none."""

    def __init__(self, config: ProxyConfig, node: Child) -> None:
        """Prepare. The node's configuration has been written, and it has not been started."""
        self._config = config
        self._node = node
        self._first = threading.Event()
        self._named = [place for place in {config.origin, *config.mounts.values()} if not _is_number(place)]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="routes", daemon=True)

    def __enter__(self) -> Self:
        """Begin to look, and write what the node starts with."""
        if self._named:
            write_routes(self._config, dict.fromkeys(self._named, ""))
            self._thread.start()
            self._first.wait(PATIENCE)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop. A lookup that hangs is not waited for."""
        self._stop.set()

    def _watch(self) -> None:
        known = dict.fromkeys(self._named, "")
        due = False
        while not self._stop.is_set():
            found = look_up(self._named, known)
            if found != known:
                log.warning("routes: %s", ", ".join(f"{place} is {at or 'unknown'}" for place, at in found.items()))
                write_routes(self._config, found)
                known, due = found, True
            self._first.set()
            # To the one program that reads them: Pushpin's runner would pass the signal on to some that still start.
            if due and self._node.signal_program("pushpin-proxy", signal.SIGHUP):
                due = False
            self._stop.wait(POLL)


def look_up(places: Iterable[str], known: Addresses) -> Addresses:
    """The targets of each place. A resolver that does not answer changes nothing; a name that is gone has none."""
    found = {}
    for place in places:
        host, _, port = place.rpartition(":")
        try:
            rows = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
        except socket.gaierror as exc:
            found[place] = known.get(place, "") if exc.errno == socket.EAI_AGAIN else ""
        else:  # IPv4 first, in one order each time: a change of it would be a reload
            addresses = sorted({str(row[4][0]) for row in rows}, key=lambda one: (":" in one, one))
            found[place] = " ".join(f"[{one}]:{port}" if ":" in one else f"{one}:{port}" for one in addresses)
    return found


def _is_number(place: str) -> bool:
    try:
        return bool(ip_address(place.rpartition(":")[0].strip("[]")))
    except ValueError:
        return False
