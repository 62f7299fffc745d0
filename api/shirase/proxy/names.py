"""Connections by host name, with a bounded lookup: ``getaddrinfo`` may take 20 s and has no timeout.

A background thread looks names up, and the addresses are cached. A lookup older than a second is still used, and
renewed in the background. So only the first connection waits for the resolver.
"""

import socket
import threading
import time
from functools import cache
from ipaddress import ip_address
from typing import Any

FRESH = 1.0  # seconds

Rows = list[tuple[Any, ...]]  # as getaddrinfo returns them


def connect(host: str, port: int, timeout: float) -> socket.socket:
    """Connect to the first address that answers.

    Raises:
        OSError: if none answers within ``timeout`` seconds, including the lookup.
    """
    deadline = time.monotonic() + timeout
    if is_number(host):
        return _without_delay(socket.create_connection((host, port), timeout))
    failure = OSError(f"{host} has no address")
    for *_, address in _name(host, port).rows(timeout):
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError("timed out")
        try:
            connection = socket.create_connection(address[:2], remaining)
        except OSError as exc:
            failure = exc
        else:
            connection.settimeout(timeout)
            return _without_delay(connection)
    raise failure


def addresses(host: str, port: int, timeout: float) -> list[str]:
    """All addresses of a host, sorted: of IPv4 if there are any, since a machine may have one of each kind.

    Raises:
        OSError: if there is none, or none is known within ``timeout`` seconds.
    """
    rows = _name(host, port).rows(timeout)
    result = sorted({(int(family), str(address[0])) for family, _, _, _, address in rows})
    preferred = [address for family, address in result if family == socket.AF_INET]
    return preferred or [address for _, address in result]


class _Name:
    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._result: Rows | OSError | None = None
        self._at = 0.0
        self._running = False
        self._answered = threading.Condition()

    def rows(self, timeout: float) -> Rows:
        with self._answered:
            if not self._running and (self._result is None or time.monotonic() - self._at > FRESH):
                self._running = True
                threading.Thread(target=self._look_up, name="names", daemon=True).start()
            if not self._answered.wait_for(lambda: self._result is not None, timeout):
                raise TimeoutError(f"{self._host} was not resolved within {timeout:.1f} s")
            result = self._result
        if isinstance(result, OSError):
            raise type(result)(*result.args)
        return result or []

    def _look_up(self) -> None:
        try:
            result: Rows | OSError = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as exc:
            result = exc
        with self._answered:
            # Keep the known addresses while the resolver fails temporarily.
            is_temporary = isinstance(result, socket.gaierror) and result.errno == socket.EAI_AGAIN
            if not (is_temporary and isinstance(self._result, list)):
                self._result = result
            self._at, self._running = time.monotonic(), False
            self._answered.notify_all()


@cache
def _name(host: str, port: int) -> _Name:
    return _Name(host, port)


def _without_delay(connection: socket.socket) -> socket.socket:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def is_number(host: str) -> bool:
    """Whether this is an address, not a name."""
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
