"""HTTP to one node's control port, within a bounded time."""

import re
import socket
import time
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import jwt
from gripcontrol import parse_grip_uri

from shirase import tls
from shirase.proxy import names

TOKEN_LIFETIME = 3600  # seconds, as in pubcontrol
LONGEST_HEAD = 64 * 1024  # bytes of an answer's status line and headers
SHOWN = 200  # bytes of an answer's body, in errors
_STATUS = re.compile(rb"HTTP/1\.[01] ([0-9]{3})")


class ControlError(Exception):
    """The control port did not accept the request."""


class ControlTimeout(ControlError):
    """The control port did not answer in time."""


class ControlPort:
    """Posts to a control address. Safe to share between threads.

    ``pubcontrol`` is not used, because it posts through ``requests``: 0.3 ms slower, no timeout, implicit retries. Nor
    is ``http.client``: of an answer only the status matters here, and it takes 0.1 ms to parse the headers.
    """

    def __init__(self, url: str, timeout: float, server_name: str | None = None) -> None:
        """Prepare, without connecting.

        Args:
            url: a GRIP URL, with ``iss`` and ``key`` if the port requires a token.
            timeout: seconds for a request.
            server_name: the name in the port's certificate, if that is not the URL's host.
        """
        config: dict[str, Any] = parse_grip_uri(url)
        self.address: str = config["control_uri"]
        parts = urlsplit(self.address)
        self._is_tls = parts.scheme == "https"
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._is_tls else 80)
        self._request = (
            f"POST {parts.path.rstrip('/')}/publish/ HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n"
            "Content-Type: application/json\r\n"
        )
        self._issuer: str | None = config.get("control_iss")
        self._key: str | bytes = config.get("key", "")
        self._timeout = timeout
        self._server_name = server_name or self._host

    def publish(self, body: bytes, timeout: float | None = None) -> None:
        """Post items (docs/pushpin.md, Publishing), within ``timeout`` seconds if that is less than the port's own.

        Each post uses its own connection, which Pushpin closes after the response. Proxy settings of the environment
        are ignored, and a post is never retried.

        Raises:
            ControlTimeout: if the port does not answer in time.
            ControlError: if the port cannot be reached or refuses the items.
        """
        timeout = min(self._timeout, timeout or self._timeout)
        deadline = time.monotonic() + timeout
        request = f"{self._request}{self._authorization()}Content-Length: {len(body)}\r\n\r\n".encode() + body
        try:
            with closing(self._connect(timeout)) as connection:
                _limit(connection, deadline)
                connection.sendall(request)
                head, text = _answer(connection, deadline)
        except TimeoutError as exc:
            raise ControlTimeout(str(exc) or "timed out") from exc
        except OSError as exc:
            raise ControlError(str(exc) or type(exc).__name__) from exc
        status = _STATUS.match(head)
        if not status or not status[1].startswith(b"2"):
            shown = text[:SHOWN].decode(errors="replace")
            raise ControlError(f"status {status[1].decode()}: {shown}" if status else "the answer is not HTTP")

    def _connect(self, timeout: float) -> socket.socket:
        raw = names.connect(self._host, self._port, timeout)
        return tls.context().wrap_socket(raw, server_hostname=self._server_name) if self._is_tls else raw

    def _authorization(self) -> str:
        if self._issuer:
            claims = {"iss": self._issuer, "exp": int(time.time()) + TOKEN_LIFETIME}
            return f"Authorization: Bearer {jwt.encode(claims, self._key, 'HS256')}\r\n"
        if self._key:
            return f"Authorization: Bearer {self._key if isinstance(self._key, str) else self._key.decode()}\r\n"
        return ""


def _answer(connection: socket.socket, deadline: float) -> tuple[bytes, bytes]:
    """The status line and headers, and as much of the body as arrives with them."""
    received = b""
    while b"\r\n\r\n" not in received and len(received) < LONGEST_HEAD:
        _limit(connection, deadline)
        part = connection.recv(LONGEST_HEAD)
        if not part:
            raise ConnectionError("the connection was closed without an answer")
        received += part
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


def _limit(connection: socket.socket, deadline: float) -> None:
    """Give the next step what is left of the time."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("timed out")
    connection.settimeout(remaining)
