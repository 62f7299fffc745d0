"""The HTTP/1.1 that the standby reads and writes: a request's head, a whole response, the end of a body."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus

# Bounds for discarding an unread body, in seconds and bytes. Pushpin has max_open_requests=100 for all clients, and
# each body that is still arriving takes one.
DISCARD_TIMEOUT = 0.5
MOST_DISCARDED = 1024 * 1024
MOST_HEAD = 64 * 1024  # bytes of a request's headers; Pushpin's limit is lower
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]+)[^\r\n]*\r\n")  # and extensions


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request without its body."""

    method: str
    target: str
    head: list[str] = field(repr=False)  # the lines as received

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def has_body(self) -> bool:
        """Whether a body follows the head."""
        return bool(self.header("transfer-encoding")) or self.header("content-length") not in ("", "0")

    def header(self, name: str) -> str:
        """The header's value; repeated ones are joined by commas (RFC 9110 section 5.2), a missing one is empty."""
        lines = [line.partition(":") for line in self.head[1:]]
        return ", ".join(value.strip() for values, _, value in lines if values.strip().lower() == name)


async def discard_body(reader: asyncio.StreamReader) -> None:
    """Read and discard: closing with unread bytes resets the connection, and the response may be lost."""
    remaining = MOST_DISCARDED
    with suppress(TimeoutError):
        async with asyncio.timeout(DISCARD_TIMEOUT):
            while remaining > 0 and (part := await reader.read(MOST_HEAD)):
                remaining -= len(part)


def response(status: HTTPStatus, headers: dict[str, str], body: bytes, *, has_body: bool = True) -> bytes:
    """A whole response."""
    if status is not HTTPStatus.NO_CONTENT:
        headers = headers | {"Content-Length": str(len(body))}
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + (body if has_body else b"")


def is_whole(answer: bytes) -> bool:
    """Whether the response is complete."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if length := re.search(rb"(?i)\r\ncontent-length: *([0-9]+)", head):
        return len(body) == int(length[1])
    is_chunked = re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head)
    return bool(end) and (not is_chunked or _has_last_chunk(body))


def _has_last_chunk(body: bytes) -> bool:
    """Whether a chunked body is complete, trailers included (RFC 9112, 7.1). h11 takes 0.2 ms for an answer."""
    at = 0
    while size := _CHUNK_SIZE.match(body, at):
        if int(size[1], 16) == 0:
            return body[size.end() - 2 :].endswith(b"\r\n\r\n")
        at = size.end() + int(size[1], 16) + 2
        if body[at - 2 : at] != b"\r\n":
            return False
    return False


def unless_failed(answer: bytes | None) -> bytes | None:
    """The response, unless its status is a server error."""
    return answer if answer and re.match(rb"HTTP/1\.[01] [234]", answer) else None
