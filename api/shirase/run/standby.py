"""The standby of a proxy node: it forwards streams to the handlers, and answers while no handler does.

Pushpin's own answer to an unreachable handler is a 502, which pages of other origins cannot read and after which a
browser's EventSource does not return. And after a failed recovery Pushpin 1.36 leaves a timer running
(docs/protocol.md, "The standby"). So recoveries never fail here: if the handlers do not answer, the answer instructs
the proxy to hold on. A recovery takes the route on which its stream was opened, so streams are opened here too.
"""

import asyncio
import logging
import random
import re
import socket
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from types import TracebackType
from typing import Self

import uvloop

from shirase.inbox.streams import HOLDS_PATH, NEXT_PATH, PATH
from shirase.keys import key_bytes
from shirase.proxy import grip, sse
from shirase.run import recoveries
from shirase.run.http_text import MOST_HEAD, RequestHead, discard_body, is_whole, response, unless_failed
from shirase.run.origins import Origin
from shirase.run.recoveries import Hold, Recoveries
from shirase.settings import ProxySettings
from shirase.web import cors, problems
from shirase.web.origin_node import DRAINING

log = logging.getLogger(__name__)

ANSWER_TIMEOUT = 20.0  # seconds that a handler may take: longer than any lock or statement that it waits for
HOLDS_TIMEOUT = 2.0  # seconds for a request about many streams, each of which is then asked about alone
PAGES_TIMEOUT = 25.0  # seconds for which the next page of a long replay is retried
HEAD_TIMEOUT = 5.0  # seconds for Pushpin to send a request's head, which it has completely by then
SENT_TIMEOUT = 20.0  # seconds for Pushpin to read a response
PAUSE = 0.5  # seconds between two times
RETRY_AFTER = 1  # seconds
RETRY = (2000, 8000)  # milliseconds until an EventSource reconnects, random
BACKLOG = 1024
ALIVE = "/livez"  # the node's own health, independent of the handlers
# How many requests for new streams the handlers get at a time: as many as half of the threads of two workers, so that a
# create finds a free thread while many streams open. A request that takes longer than ``OPENING_SECONDS`` no longer
# counts, because it is waiting for something else, such as the database.
OPENING, OPENING_SECONDS = 8, 0.1
OPEN_TIMEOUT = 0.5  # seconds to ask the handlers for it
OPEN = "/livez/open"  # whether the node takes new streams; the handlers know, and else it is as it was
_IS_DRAINING = re.compile(rf"\r\n{DRAINING}:".encode(), re.IGNORECASE)

# A host's routes may have a prefix. No other characters may get into a Grip-Link.
_NEXT = re.compile(rf"(?:/[A-Za-z0-9._~-]+)*{NEXT_PATH}")
_STREAM = {"Content-Type": sse.CONTENT_TYPE, "Cache-Control": sse.CACHE_CONTROL}
_REPLACED = ("connection:", "content-length:", "transfer-encoding:", "grip-node:", "grip_node:")
_PAGE = re.compile(rf"(?:/[A-Za-z0-9._~-]+)*{NEXT_PATH}/[A-Za-z0-9._~-]+")
_OURS = re.compile(rf".*(?:{PATH}|{NEXT_PATH}(?:/[^/]*)?)", re.DOTALL)


class Standby:
    """Serves one node's Pushpin from its own thread. A context manager, for the time that the node runs."""

    def __init__(
        self, origin: str, settings: ProxySettings, mounts: Mapping[str, str] | None = None, node: str | None = None
    ) -> None:
        """Listen on a free port of the loopback interface.

        Args:
            origin: HOST:PORT of the handlers.
            settings: the node's settings.
            mounts: by path prefix, the HOST:PORT to forward to, as in the node's configuration.
            node: the node's control address as ``GRIP_URL`` has it, which the handlers receive; ``None`` if unknown.

        Raises:
            SettingsError: if the origin has another form.
        """
        self._origins = {prefix: Origin(place) for prefix, place in {"/": origin, **(mounts or {})}.items()}
        self._settings = settings
        key = key_bytes(settings.pushpin_sig_key)
        self._added = [f"{grip.NODE}: {grip.name_node(key, node)}"] if node else []
        self._recoveries = Recoveries(self._ask_about)
        self._opening = asyncio.Semaphore(OPENING)
        self._answered = self._is_open = True
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._serving = threading.Event()
        self._thread = threading.Thread(
            target=lambda: uvloop.run(self._serve_until_stopped()), name="standby", daemon=True
        )

    @property
    def address(self) -> str:
        """The HOST:PORT for Pushpin."""
        return f"127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Self:
        """Begin to serve."""
        self._thread.start()
        self._serving.wait()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop all requests, since the proxy has ended."""
        self._loop.call_soon_threadsafe(self._stop)
        self._thread.join()

    async def _serve_until_stopped(self) -> None:
        self._loop, stopped = asyncio.get_running_loop(), asyncio.Event()
        self._stop = stopped.set
        server = await asyncio.start_server(self._serve, sock=self._socket, limit=MOST_HEAD, backlog=BACKLOG)
        self._serving.set()
        await stopped.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # Cancelled at the end of the loop: Python 3.11 would log each such request with a traceback.
            with suppress(
                OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError, asyncio.CancelledError
            ):
                async with asyncio.timeout(HEAD_TIMEOUT):
                    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                method, target, *_ = [*head[0].split(" "), "", ""]
                request = RequestHead(method, target, head[:-2])
                writer.write(self._refuse(request) or await self._answer(request))
                async with asyncio.timeout(SENT_TIMEOUT):
                    await writer.drain()
                if request.method != "HEAD" and not request.has_body:  # as in the handlers' worker
                    writer.write_eof()
                await discard_body(reader)
        finally:
            writer.close()

    def _refuse(self, request: RequestHead) -> bytes | None:
        """The response to a request that is never forwarded; ``None`` if it may be."""
        if not _OURS.fullmatch(request.path):
            return None  # it arrives here while the handlers accept no connection, and gets a 503
        if request.method not in ("GET", "OPTIONS"):
            return self._problem(request, HTTPStatus.METHOD_NOT_ALLOWED, "only GET is for this address", Allow="GET")
        if request.has_body:
            return self._problem(request, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "this address takes no body")
        return None

    async def _answer(self, request: RequestHead) -> bytes:
        if request.path == ALIVE:
            headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
            return response(HTTPStatus.OK, headers, b'{"status":"ok"}')
        if request.path == OPEN:
            return await self._openness(request)
        answer = None
        if (
            PATH in request.path and NEXT_PATH not in request.path
        ):  # also paths that no handler has, with a slash at the end
            answer = await self._open(request)
        elif request.path.endswith(NEXT_PATH):
            answer = await self._recover(request)
        elif _PAGE.fullmatch(request.path):
            answer = await self._ask_until_answered(request)
        return answer or self._hold_on(request) or self._instead(request)

    async def _open(self, request: RequestHead) -> bytes | None:
        """Pass on a request for a new stream, when the handlers have few of them."""
        async with self._opening:
            asked = asyncio.ensure_future(self._ask(request))
            await asyncio.wait([asked], timeout=OPENING_SECONDS)
        return await asked

    async def _recover(self, request: RequestHead) -> bytes | None:
        if request.method == "GET" and request.header("grip-last") and _NEXT.fullmatch(request.target):
            place = request.target, request.header("host")
            if hold := await self._recoveries.hold(place, request):
                return response(HTTPStatus.OK, _STREAM | dict(hold), b"")
        return unless_failed(await self._ask(request))

    async def _ask_about(self, requests: Sequence[RequestHead]) -> Sequence[Hold]:
        """The new holds of streams that missed nothing, by one request for all of them."""
        target = requests[0].target.removesuffix(NEXT_PATH) + HOLDS_PATH
        # With the first stream's Grip-Last, which no client can forge.
        head = [f"POST {target} HTTP/1.1", *requests[0].head[1:], "Content-Type: application/json"]
        body = recoveries.encode([request.header("grip-last") for request in requests])
        answer = None
        with suppress(TimeoutError):
            async with asyncio.timeout(HOLDS_TIMEOUT):
                answer = await self._pass_on(RequestHead("POST", target, head), body)
        return recoveries.decode(answer, len(requests))

    async def _openness(self, request: RequestHead) -> bytes:
        """For balancers. An outage of the handlers does not close a node: clients still get an answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(OPEN_TIMEOUT):
                if answer := await self._ask(RequestHead("GET", "/healthz", ["GET /healthz HTTP/1.1", "Host: node"])):
                    self._is_open = not _IS_DRAINING.search(answer)
        if self._is_open:
            return response(HTTPStatus.OK, {"Content-Type": "application/json", "Cache-Control": "no-store"}, b"{}")
        return self._problem(request, HTTPStatus.SERVICE_UNAVAILABLE, "this node is being drained")

    async def _ask_until_answered(self, request: RequestHead) -> bytes | None:
        """Retry the next page: without a hold, only its URL names the stream."""
        with suppress(TimeoutError):
            async with asyncio.timeout(PAGES_TIMEOUT):
                while True:
                    if answer := unless_failed(await self._ask(request)):
                        return answer
                    await asyncio.sleep(PAUSE)
        return None

    async def _ask(self, request: RequestHead) -> bytes | None:
        """The handlers' response; ``None`` if there is none, or it is incomplete."""
        answer = await self._pass_on(request)
        if answer is not None and not is_whole(answer):
            answer = None
        if (answer is not None) is not self._answered:
            self._answered = answer is not None
            log.warning("the handlers %s", "answer again" if answer else "do not answer: streams hold on meanwhile")
        return answer

    async def _pass_on(self, request: RequestHead, body: bytes = b"") -> bytes | None:
        writer = None
        origin = self._origins[max(filter(request.target.startswith, self._origins), key=len, default="/")]
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                reader, writer = await origin.connect()
                lines = [line for line in request.head if not line.lower().startswith(_REPLACED)]
                lines += self._added + ([f"Content-Length: {len(body)}"] if body else [])
                writer.write("\r\n".join([*lines, "Connection: close", "", ""]).encode("latin-1") + body)
                return await reader.read()
        except (OSError, TimeoutError):
            if writer:
                origin.failed(writer)
            return None
        finally:
            if writer:
                writer.close()

    def _hold_on(self, request: RequestHead) -> bytes | None:
        """Have the proxy keep holding a stream and retry soon; ``None`` if this is not a recovery."""
        last = grip.parse_last(request.header("grip-last"), [key_bytes(self._settings.pushpin_sig_key)])
        if last is None or not _NEXT.fullmatch(request.target):
            return None
        if not grip.is_signed_with(request.header("grip-sig"), self._settings.pushpin_sig_key):
            return None
        hold = grip.hold_on(last, next_path=request.target, keepalive=self._settings.sse_keepalive_timeout)
        return response(HTTPStatus.OK, _STREAM | dict(hold.headers(request.method)), b"")

    def _instead(self, request: RequestHead) -> bytes:
        """The response to a client while no handler answers."""
        if request.method == "GET" and sse.CONTENT_TYPE in request.header("accept"):
            # A native EventSource gives up at any status but 200. After this response it reconnects by itself.
            retry = random.randint(*RETRY)  # noqa: S311 - spreads reconnects, protects nothing
            return response(HTTPStatus.OK, self._headers(request) | _STREAM, f"retry: {retry}\n\n".encode())
        allowed = self._cors(request)
        if allowed and cors.is_preflight(request.method, request.header("access-control-request-method")):
            return response(HTTPStatus.NO_CONTENT, allowed, b"")
        detail = "no handler answers now; try again soon"
        return self._problem(request, HTTPStatus.SERVICE_UNAVAILABLE, detail, Retry_After=str(RETRY_AFTER))

    def _problem(self, request: RequestHead, status: HTTPStatus, detail: str, **more: str) -> bytes:
        headers = self._headers(request) | {"Content-Type": problems.CONTENT_TYPE}
        headers |= {name.replace("_", "-"): value for name, value in more.items()}
        return response(status, headers, problems.document(status, detail), has_body=request.method != "HEAD")

    def _headers(self, request: RequestHead) -> dict[str, str]:
        return self._cors(request) | {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

    def _cors(self, request: RequestHead) -> dict[str, str]:
        return cors.headers(self._settings, request.header("origin"), request.method)
