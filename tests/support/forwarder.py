"""A TCP forwarder between two parts of the service that fails on purpose, like a bad network."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import Enum

from tests.support.loop_thread import LoopThread, wait_until
from tests.support.stack import free_ports

REQUEST = 64 * 1024  # bytes read of a request before it is forwarded
SLOW = 0.3  # seconds that a slow peer delays
WAIT = 20.0
FAILURE = b"HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Mode(Enum):
    """What happens to new connections."""

    PASS = "passed on"
    REFUSE = "refused"
    CUT = "accepted and reset"
    HANG = "accepted and never answered"
    FAIL = "answered with 500, and not passed on"
    SLOW = "passed on late"
    LOSE_ANSWER = "passed on, and its answer lost"
    HOLD = "held until it is released or dropped"
    HOLD_ANSWER = "passed on, and its answer held until it is released or dropped"


class Forwarder:
    """Forwards connections from ``port`` to ``target_port`` on loopback, or treats them by ``mode``.

    ``requests`` records the first bytes of every connection, ``answered`` those that were forwarded and have ended.
    The control port and the handlers get one connection per request, so these are all requests. Of uvicorn, which keeps
    connections, they are those of a stream and of a recovery, which Pushpin has closed after each.

    A client's disconnect is not forwarded, as if its machine had vanished: the target keeps waiting.
    """

    def __init__(self, thread: LoopThread, target_port: int | None = None) -> None:
        """Listen on a free port; the target may be set later."""
        self.port = free_ports(1)[0]
        self.target_port = target_port
        self.connects = 0  # of any outcome
        self.requests: list[bytes] = []
        self.answered: list[bytes] = []
        self._thread = thread
        self._mode = Mode.PASS
        self._server: asyncio.Server | None = None
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._held: dict[asyncio.StreamWriter, asyncio.Event] = {}
        thread.call(self._listen())

    @property
    def address(self) -> str:
        """The HOST:PORT to connect to."""
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The same address as a URL."""
        return f"http://{self.address}"

    @property
    def mode(self) -> Mode:
        """What happens to new connections."""
        return self._mode

    @mode.setter
    def mode(self, mode: Mode) -> None:
        self._thread.call(self._set_mode(mode))

    @property
    def held(self) -> list[int]:
        """The source ports of the held connections."""
        return [_port(writer) for writer in list(self._held)]

    @property
    def holds(self) -> bool:
        """Whether an answer is being held back."""
        return bool(self._held)

    def wait_held(self, count: int = 1, timeout: float = WAIT) -> None:
        """Wait until this many connections are held."""
        wait_until(lambda: len(self._held) >= count, timeout, lambda: f"{len(self._held)} are held")

    def release(self) -> None:
        """Forward what is held."""
        self._thread.call(self._release())

    def drop(self, port: int) -> None:
        """Reset the connection from this source port; held bytes are never forwarded."""
        self._thread.call(self._cut(port))

    def cut(self) -> None:
        """Reset every open connection; held bytes are never forwarded."""
        self._thread.call(self._cut())

    def close(self) -> None:
        """Stop listening and reset every connection."""
        self._thread.call(self._close())

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, backlog=512)

    async def _set_mode(self, mode: Mode) -> None:
        self._mode = mode
        if mode is Mode.REFUSE and self._server:
            server, self._server = self._server, None
            # Python 3.11 never closes what it accepted in the iteration in which its server closes: refuse it first.
            for listening in server.sockets:
                asyncio.get_running_loop().remove_reader(listening)
            await asyncio.sleep(0)
            server.close()
        elif mode is not Mode.REFUSE and self._server is None:
            await self._listen()

    async def _release(self) -> None:
        for released in self._held.values():
            released.set()

    async def _cut(self, port: int | None = None) -> None:
        chosen = [(task, writer) for task, writer in self._open.items() if port in (None, _port(writer))]
        for task, writer in chosen:
            writer.transport.abort()
            task.cancel()
        await asyncio.gather(*(task for task, _ in chosen), return_exceptions=True)

    async def _close(self) -> None:
        await self._set_mode(Mode.REFUSE)
        await self._cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        self.connects += 1
        try:
            with suppress(OSError, EOFError, asyncio.CancelledError):
                await self._treat(reader, writer)
        finally:
            del self._open[task]
            writer.close()

    async def _treat(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        mode = self._mode
        if mode in (Mode.CUT, Mode.REFUSE):
            writer.transport.abort()
            return
        first = await reader.read(REQUEST)
        if not first:
            return
        self.requests.append(first)
        match mode:
            case Mode.HANG:
                await reader.read()  # until the client gives up
            case Mode.FAIL:
                await _read_body(first, reader)
                writer.write(FAILURE)
            case Mode.SLOW:
                await asyncio.sleep(SLOW)
                await self._pass_on(first, reader, writer)
            case Mode.HOLD | Mode.HOLD_ANSWER:
                answer = await self._ask(first) if mode is Mode.HOLD_ANSWER else b""
                await self._hold(writer)
                await (_write(writer, answer) if answer else self._pass_on(first, reader, writer))
            case Mode.LOSE_ANSWER:
                await self._pass_on(first, reader, None)
                writer.transport.abort()
            case _:
                await self._pass_on(first, reader, writer)

    async def _hold(self, writer: asyncio.StreamWriter) -> None:
        released = self._held[writer] = asyncio.Event()
        try:
            await released.wait()
        finally:
            del self._held[writer]

    async def _ask(self, request: bytes) -> bytes:
        """Send a complete request and return the whole answer."""
        there, back = await asyncio.open_connection("127.0.0.1", self.target_port)
        back.write(request)
        try:
            return await there.read()
        finally:
            back.close()

    async def _pass_on(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> None:
        """Forward in both directions until the target ends; without a writer, discard the answer."""
        there, back = await asyncio.open_connection("127.0.0.1", self.target_port)
        sending = asyncio.ensure_future(_copy(reader, back.write, back.drain, first))
        try:
            if writer:
                await _copy(there, writer.write, writer.drain)
            else:
                await there.read()
            self.answered.append(first)
        finally:
            sending.cancel()
            back.close()


def _port(writer: asyncio.StreamWriter) -> int:
    """The source port of a connection."""
    port: int = writer.get_extra_info("peername")[1]
    return port


async def _write(writer: asyncio.StreamWriter, answer: bytes) -> None:
    writer.write(answer)
    await writer.drain()


async def _read_body(first: bytes, reader: asyncio.StreamReader) -> None:
    """Read the request to its end: closing with unread bytes would reset the connection and lose the answer."""
    head, _, body = first.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
    await reader.readexactly(int(length[1]) - len(body) if length else 0)


async def _copy(
    source: asyncio.StreamReader,
    write: Callable[[bytes], None],
    drain: Callable[[], Awaitable[None]],
    first: bytes = b"",
) -> None:
    part = first or await source.read(REQUEST)
    while part:
        write(part)
        await drain()
        part = await source.read(REQUEST)
