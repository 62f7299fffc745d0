"""Connections to hosts by name, within a bounded time: ``getaddrinfo`` itself may take 20 s, and has no timeout.

A name is looked up in a thread beside whoever connects. While the answer is no older than a second it is used as it is;
after that it is still used, and looked up again for the next one. So only the first connection waits for a resolver.
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
        OSError: if none does within that time, the lookup included.
    """
    deadline = time.monotonic() + timeout
    if _is_number(host):
        return _prompt(socket.create_connection((host, port), timeout))
    failure = OSError(f"{host} has no address")
    for *_, address in _name(host, port).rows(timeout):
        left = deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        try:
            made = socket.create_connection(address[:2], left)
        except OSError as exc:
            failure = exc
        else:
            made.settimeout(timeout)
            return _prompt(made)
    raise failure


class _Name:
    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._found: Rows | OSError | None = None
        self._at = 0.0
        self._running = False
        self._answered = threading.Condition()

    def rows(self, timeout: float) -> Rows:
        with self._answered:
            if not self._running and (self._found is None or time.monotonic() - self._at > FRESH):
                self._running = True
                threading.Thread(target=self._look_up, name="names", daemon=True).start()
            if not self._answered.wait_for(lambda: self._found is not None, timeout):
                raise TimeoutError(f"{self._host} was not resolved within {timeout:.1f} s")
            found = self._found
        if isinstance(found, OSError):
            raise type(found)(*found.args)
        return found or []

    def _look_up(self) -> None:
        try:
            found: Rows | OSError = socket.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError as exc:
            found = exc
        with self._answered:
            # A resolver that fails for the moment says nothing about the addresses that are known.
            again = isinstance(found, socket.gaierror) and found.errno == socket.EAI_AGAIN
            if not (again and isinstance(self._found, list)):
                self._found = found
            self._at, self._running = time.monotonic(), False
            self._answered.notify_all()


@cache
def _name(host: str, port: int) -> _Name:
    return _Name(host, port)


def _prompt(made: socket.socket) -> socket.socket:
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def _is_number(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False
