"""Where a client sends its requests, with which token, and how patiently."""

from collections.abc import Callable
from typing import Any, TypedDict

import httpx

from shirase.client.protocol import Request

TIMEOUT = 10.0  # seconds for an answer
SILENCE = 90.0  # seconds without a byte, heartbeats included, after which a stream counts as dead
STREAMS = "/api/sse/"  # the paths that the proxy is for
ATTEMPTS = 5  # over about seven seconds

Token = str | Callable[[], str]


class Options(TypedDict, total=False):
    """Options besides address and token."""

    origin: str  # the handlers' address, where the network reaches it: only streams then pass the proxy
    attempts: int  # attempts before a request fails
    timeout: float  # seconds to wait in one attempt
    silence: float  # seconds without a byte after which a stream is opened again; more than SSE_KEEPALIVE_TIMEOUT


class Service:
    """A service's address and the caller's token, as arguments of httpx."""

    def __init__(self, url: str, token: Token, options: Options) -> None:
        self._url = _address(url)
        self._origin = _address(options.get("origin", url))
        self._token = token
        self.attempts = options.get("attempts", ATTEMPTS)
        if self.attempts < 1:
            raise ValueError("there must be one attempt at least")
        self.timeout = httpx.Timeout(options.get("timeout", TIMEOUT))
        self.stream_timeout = httpx.Timeout(options.get("timeout", TIMEOUT), read=options.get("silence", SILENCE))

    def arguments(self, request: Request[Any]) -> dict[str, Any]:
        """Return the arguments of httpx for a request."""
        token = self._token if isinstance(self._token, str) else self._token()
        return {
            "method": request.method,
            "url": f"{self._url if request.path.startswith(STREAMS) else self._origin}{request.path}",
            "content": request.body,
            "params": request.query,
            "headers": {**request.headers, "Authorization": f"Bearer {token}"},
        }


def _address(text: str) -> httpx.URL:
    address = httpx.URL(text.rstrip("/"))
    if address.scheme not in ("http", "https") or not address.host:
        raise ValueError(f"the address must be http(s)://HOST[:PORT], not {text!r}")
    return address
