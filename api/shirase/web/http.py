"""Request and response, independent of the framework."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


class Headers(dict[str, str]):
    """Request headers, case-insensitive. Repeated headers are joined by commas."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Join repeated headers, as WSGI servers do."""
        super().__init__()
        for name, value in pairs:
            known = name.lower()
            self[known] = f"{super().__getitem__(known)},{value}" if known in self else value

    def get(self, name: str, default: Any = None) -> Any:
        """The value, or the default."""
        return super().get(name.lower(), default)

    def __contains__(self, name: object) -> bool:
        """Whether it was sent."""
        return super().__contains__(name.lower() if isinstance(name, str) else name)


@dataclass(frozen=True, slots=True)
class Request:
    """What a framework received."""

    method: str
    path: str  # of the operation, without the host's prefix
    prefix: str  # where the host has mounted the operations, as clients see it; "" for the service itself
    proxy_prefix: str  # the same as seen by the proxy, without what a server in front of the proxy removes
    host: str  # the Host header
    headers: Headers
    query: tuple[tuple[str, str], ...]
    cookies: Mapping[str, str]
    body: Callable[[], bytes]  # at most ``MAX_BODY``; raises TooLarge or TooSlow
    native: Any = None  # the framework's own request, for the host's sign-in

    @property
    def args(self) -> dict[str, str]:
        """The query's parameters; of a repeated one, the first."""
        return dict(reversed(self.query))

    @property
    def media_type(self) -> str:
        """The ``Content-Type`` without its parameters."""
        return str(self.headers.get("Content-Type", "")).partition(";")[0].strip().lower()

    @property
    def content_length(self) -> int | None:
        """The declared length of the body."""
        declared = str(self.headers.get("Content-Length", ""))
        return int(declared) if declared.isascii() and declared.isdecimal() else None


@dataclass(slots=True)
class Response:
    """The response for a framework to send."""

    data: bytes | str = b""
    status: int = 200
    content_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)
    parts: Iterator[bytes] | None = None  # of a body that is made while it is sent, instead of ``data``

    @property
    def media_type(self) -> str:
        """The ``Content-Type`` without its parameters."""
        return (self.content_type or "").partition(";")[0]
