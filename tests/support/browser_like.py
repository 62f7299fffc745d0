"""Clients that behave like a browser's EventSource (WHATWG HTML, section 9.2), hundreds of them in one thread."""

import asyncio
import json
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from tests.support.loop_thread import LoopThread, wait_until

PATH = "/api/sse/notifications"
FIRST_RETRY = 3.0  # seconds, until the stream sends a `retry:`
BUFFER = 16 * 1024  # bytes read ahead; then the kernel's buffers fill, and then the server's
LONGEST_IN_QUERY = 3000  # Pushpin 1.36 drops a request whose address exceeds 4,095 bytes
UNANSWERED = 5.0  # seconds without an answer until a renewing page retries
WAIT = 20.0  # seconds until a test gives up on an event
_NOTHING: tuple[str, tuple[str, ...], str | None] = ("", (), None)  # before any line of an event
OWN = ("connected", "heartbeat")  # events of the connection; all others belong to the user's log


@dataclass(frozen=True, slots=True)
class Received:
    """A dispatched event."""

    connection: int  # which of the device's responses carried it, counted from 1
    event: str
    data: str
    id: str | None  # the event's own, unlike lastEventId
    at: float  # Unix time

    @property
    def seq(self) -> int | None:
        """The position in the user's log. Cursors are opaque to clients, but not to these tests."""
        position = (self.id or "").rpartition("-")[2].partition(".")[0]
        return int(position) if position.isdecimal() else None

    @property
    def json(self) -> Any:
        """The decoded data."""
        return json.loads(self.data)


class Device:
    """One EventSource. Its attributes are written by the loop's thread and read by the test's."""

    def __init__(
        self,
        url: str,
        token: str,
        *,
        cursor: str | None = None,
        reconnect: bool = True,
        renew: bool = False,
        cookie: str | None = None,
    ) -> None:
        """Prepare to open the stream at the proxy's ``url``.

        Args:
            url: the service's address.
            token: sent in the address, or in a header if it is too long, as fetch-based clients do.
            cursor: resume after it, as ``?last_event_id=``.
            reconnect: open the stream again when it ends.
            renew: behave like a page that creates a new EventSource, with the last cursor, when the browser gave up on
                one or got no answer: Pushpin 1.36 may leave requests unanswered in the first moments after its start.
            cookie: an application's own session, sent instead of the token.
        """
        self.received: list[Received] = []
        self.connections = 0  # responses that began with 200
        self.failures = 0  # attempts without a server, or cut before an answer
        self.refused: int | None = None  # the status that ended it for good
        self.refusals = 0
        self.retry = FIRST_RETRY
        self.retries_named = 0
        self.longest_retry: float | None = None  # shortens the service's `retry:` in tests of something else
        self.last_event_id = ""
        self.open = False
        self.done = False
        self._address = urlsplit(url)
        self._path = self._address.path.rstrip("/") + PATH
        in_query = cookie is None and len(token) < LONGEST_IN_QUERY
        self._query = ({"token": token} if in_query else {}) | ({"last_event_id": cursor} if cursor else {})
        self._headers = {"Cookie": cookie} if cookie else {} if in_query else {"Authorization": f"Bearer {token}"}
        self._reconnect = reconnect
        self._closed = False
        self._renew = renew
        self._pending = _NOTHING
        self._reading = asyncio.Event()
        self._reading.set()
        self._writer: asyncio.StreamWriter | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def log(self) -> list[Received]:
        """The received events of the user's log: all but ``connected`` and heartbeats."""
        return [event for event in self.received if event.event not in OWN]

    @property
    def seqs(self) -> list[int | None]:
        """The received positions in the log, in order of arrival."""
        return [event.seq for event in self.log]

    @property
    def titles(self) -> list[str]:
        """The titles of the received notifications."""
        return [event.json["title"] for event in self.received if event.event == "notification"]

    def named(self, event: str) -> list[Received]:
        """The received events of this name."""
        return [item for item in self.received if item.event == event]

    def wait(self, condition: Callable[["Device"], object], timeout: float = WAIT) -> None:
        """Wait until the condition is true of this device."""
        wait_until(lambda: condition(self), timeout, lambda: f"the device has {self!r}")

    def drop(self) -> None:
        """Cut the connection as a network does; the device may reconnect."""
        self._call(self._abort)

    def stop_reading(self) -> None:
        """Leave data unread in the socket, like a sleeping tab."""
        self._call(self._reading.clear)

    def go_on_reading(self) -> None:
        """Resume reading."""
        self._call(self._reading.set)

    def close(self) -> None:
        """Close for good, as ``EventSource.close()`` does."""
        self._reconnect = False
        self._closed = True  # also while it is connecting
        self._call(self._reading.set)
        self._call(self._abort)

    def __repr__(self) -> str:
        """Show enough to explain a failure."""
        shown = ", ".join(f"{event.event}:{event.id}" for event in self.received[-12:])
        state = "open" if self.open else f"refused {self.refused}" if self.refused else "closed"
        return f"<{state}, {self.connections} connections, {len(self.received)} events, last: {shown}>"

    async def run(self) -> None:
        """Connect and reconnect until closed or refused."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                try:
                    await self._one_response()
                except (OSError, EOFError):
                    self.failures += not self.open
                finally:
                    self.open = False
                    self._abort()
                if not self._goes_on():
                    return
                await asyncio.sleep(min(self.retry, self.longest_retry or self.retry))
        finally:
            self.done = True

    def _goes_on(self) -> bool:
        if self.refused and self._renew:
            self.refused = None
            self._query["last_event_id"] = self.last_event_id or self._query.get("last_event_id", "")
            self.last_event_id = ""
            return self._reconnect
        return self._reconnect and not self.refused

    async def _one_response(self) -> None:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
        connection.setblocking(False)
        try:
            address = (self._address.hostname, self._address.port)
            await asyncio.get_running_loop().sock_connect(connection, address)
        except BaseException:
            connection.close()
            raise
        reader, self._writer = await asyncio.open_connection(sock=connection, limit=BUFFER)
        if self._closed:
            return
        self._writer.write(self._request())
        async with asyncio.timeout(UNANSWERED if self._renew else None):
            status, headers = await _head(reader)
        if status != HTTPStatus.OK or not headers.get("content-type", "").startswith("text/event-stream"):
            self.refused = status
            self.refusals += 1
            return
        self.connections += 1
        self._pending = _NOTHING
        self.open = True
        body = _chunks(reader) if headers.get("transfer-encoding") == "chunked" else _parts(reader, headers)
        rest = b""
        async for part in body:
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                self._take(line.decode().removesuffix("\r"))
            await self._reading.wait()

    def _request(self) -> bytes:
        lines = [
            f"GET {self._path}?{urlencode(self._query)} HTTP/1.1",
            f"Host: {self._address.netloc}",
            "Accept: text/event-stream",
            "Cache-Control: no-store",
        ]
        if self.last_event_id:
            lines.append(f"Last-Event-ID: {self.last_event_id}")
        lines += [f"{name}: {value}" for name, value in self._headers.items()]
        return "\r\n".join([*lines, "", ""]).encode()

    def _take(self, line: str) -> None:
        """Process a line of the stream; an empty line dispatches the event before it."""
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        event, data, own_id = self._pending
        if not line:
            self._pending = _NOTHING
            self.last_event_id = self.last_event_id if own_id is None else own_id
            if data:
                self.received.append(
                    Received(self.connections, event or "message", "\n".join(data), own_id, time.time())
                )
        elif name == "event":
            self._pending = (value, data, own_id)
        elif name == "data":
            self._pending = (event, (*data, value), own_id)
        elif name == "id" and "\0" not in value:
            self._pending = (event, data, value)
        elif name == "retry" and value.isdecimal():
            self.retry = int(value) / 1000
            self.retries_named += 1

    def _abort(self) -> None:
        if self._writer:
            self._writer.transport.abort()

    def _call(self, function: Callable[[], object]) -> None:
        if self._loop:
            self._loop.call_soon_threadsafe(function)


class Browsers(LoopThread):
    """Creates devices, and runs them in its thread."""

    def open(
        self,
        url: str,
        token: str,
        *,
        cursor: str | None = None,
        reconnect: bool = True,
        renew: bool = False,
        longest_retry: float | None = None,
        cookie: str | None = None,
    ) -> Device:
        """Start opening a stream, without waiting for it."""
        device = Device(url, token, cursor=cursor, reconnect=reconnect, renew=renew, cookie=cookie)
        device.longest_retry = longest_retry
        self.spawn(device.run())
        return device


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    status_line, *lines = head.split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    return int(status_line.split(" ")[1]), headers


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        yield (await reader.readexactly(size + 2))[:-2]


async def _parts(reader: asyncio.StreamReader, headers: dict[str, str]) -> AsyncIterator[bytes]:
    """Read a body that ends at its Content-Length, or with the connection."""
    left = int(headers.get("content-length", sys.maxsize))
    while left and (part := await reader.read(min(BUFFER, left))):
        left -= len(part)
        yield part
