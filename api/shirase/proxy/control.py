"""HTTP to one node's control port, within a bounded time."""

import time
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

import jwt
from gripcontrol import parse_grip_uri

from shirase import tls
from shirase.proxy import names

TOKEN_LIFETIME = 3600  # seconds, as in pubcontrol


class ControlError(Exception):
    """The control port did not accept the request."""


class Http(HTTPConnection):
    """An HTTP connection whose timeout includes the name lookup."""

    timeout: float

    def connect(self) -> None:
        """Connect; see ``names``."""
        self.sock = names.connect(self.host, self.port, self.timeout)


class _Https(HTTPSConnection):
    timeout: float
    server_name: str

    def connect(self) -> None:
        raw = names.connect(self.host, self.port, self.timeout)
        self.sock = tls.context().wrap_socket(raw, server_hostname=self.server_name)


class ControlPort:
    """Posts to a control address. Safe to share between threads.

    ``pubcontrol`` is not used, because it posts through ``requests``: 0.3 ms slower, no timeout, implicit retries.
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
        self._parts = urlsplit(self.address)
        self._issuer: str | None = config.get("control_iss")
        self._key: str | bytes = config.get("key", "")
        self._timeout = timeout
        self._server_name = server_name

    def publish(self, body: bytes) -> None:
        """Post items (docs/pushpin.md, Publishing).

        Each post uses its own connection, which Pushpin closes after the response. Proxy settings of the environment
        are ignored, and a post is never retried.

        Raises:
            ControlError: if the port cannot be reached or refuses the items.
        """
        deadline = time.monotonic() + self._timeout
        try:
            with closing(self._connect()) as connection:
                connection.connect()
                _limit(connection, deadline)
                connection.request("POST", f"{self._parts.path.rstrip('/')}/publish/", body, self._headers())
                _limit(connection, deadline)
                answer = connection.getresponse()
                text = answer.read(200).decode(errors="replace")
        except (OSError, HTTPException) as exc:
            raise ControlError(str(exc) or type(exc).__name__) from exc
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise ControlError(f"status {answer.status}: {text}")

    def _connect(self) -> HTTPConnection:
        if self._parts.scheme == "https":
            connection = _Https(self._parts.netloc, timeout=self._timeout, context=tls.context())
            connection.server_name = self._server_name or connection.host
            return connection
        return Http(self._parts.netloc, timeout=self._timeout)

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json"}
        if self._issuer:
            claims = {"iss": self._issuer, "exp": int(time.time()) + TOKEN_LIFETIME}
            headers["Authorization"] = f"Bearer {jwt.encode(claims, self._key, 'HS256')}"
        elif self._key:
            headers["Authorization"] = f"Bearer {self._key if isinstance(self._key, str) else self._key.decode()}"
        return headers


def _limit(connection: HTTPConnection, deadline: float) -> None:
    """Give the next step what is left of the time."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError("timed out")
    connection.sock.settimeout(remaining)
