"""A request and its answer, whichever framework took the one and gives the other."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any


class Headers(dict[str, str]):
    """Request headers by their names in lower case; lookups take any case. Repeated headers are joined by commas."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        """Join what was sent several times, as WSGI servers do."""
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
    path: str  # of the operation: without the host's prefix
    prefix: str  # where the host has mounted the operations, as clients see it; "" for the service itself
    proxy_prefix: str  # the same as the proxy sees it: without what something in front of the proxy takes off
    host: str  # what the request was sent to
    headers: Headers
    query: tuple[tuple[str, str], ...]
    cookies: Mapping[str, str]
    body: Callable[[], bytes]  # at most ``MAX_BODY``; raises TooLarge or TooSlow
    native: Any = None  # the framework's own request, for the host's sign-in

    @property
    def args(self) -> dict[str, str]:
        """The query's parameters; of one that is given twice, the first."""
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
    """What a framework is to answer."""

    data: bytes | str = b""
    status: int = 200
    content_type: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def media_type(self) -> str:
        """The ``Content-Type`` without its parameters."""
        return (self.content_type or "").partition(";")[0]
