"""A client in Python: creates, lists and reads notifications over REST, and listens to a stream as a browser does.

    with Client("http://127.0.0.1:7999", token) as client:
        client.create(user_id="42", type="interview.scheduled", title="Interview", message="Tomorrow at ten")
        for event in client.listen():
            ...

``AsyncClient`` is the same with ``async`` and ``await``. Requests and answers are in ``protocol.py``.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from types import TracebackType
from typing import Any, Self, TypedDict, TypeVar, Unpack

import httpx
from httpx_sse import EventSource, SSEError

from shirase import tls
from shirase.client import protocol
from shirase.client.protocol import (
    ClientError,
    Listening,
    Notification,
    Outcome,
    Page,
    Pause,
    Request,
    StreamEvent,
    Updated,
)
from shirase.fields import AddressedInput, NotificationInput

__all__ = ["AsyncClient", "Client", "ClientError", "Notification", "Page", "StreamEvent", "Updated"]

TIMEOUT = 10.0  # seconds for an answer
SILENCE = 90.0  # seconds without a byte, heartbeats included, after which a stream is taken for dead
ATTEMPTS = 5  # over about seven seconds

T = TypeVar("T")
Token = str | Callable[[], str]


class Options(TypedDict, total=False):
    """What a client can be told beyond address and token."""

    attempts: int  # how often a request is made until it counts as failed
    timeout: float  # seconds that one attempt may take
    silence: float  # seconds without a byte after which a stream is opened again; more than SSE_KEEPALIVE_TIMEOUT


class _Way:
    """The way to a service: where it is, and as whom it is asked."""

    def __init__(self, url: str, token: Token, options: Options) -> None:
        self._url = httpx.URL(url.rstrip("/"))
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise ValueError(f"the address must be http(s)://HOST[:PORT], not {url!r}")
        self._token = token
        self.attempts = options.get("attempts", ATTEMPTS)
        if self.attempts < 1:
            raise ValueError("there must be one attempt at least")
        self.timeout = httpx.Timeout(options.get("timeout", TIMEOUT))
        self.stream_timeout = httpx.Timeout(options.get("timeout", TIMEOUT), read=options.get("silence", SILENCE))

    def arguments(self, request: Request[Any]) -> dict[str, Any]:
        """The request as httpx takes it."""
        token = self._token if isinstance(self._token, str) else self._token()
        return {
            "method": request.method,
            "url": f"{self._url}{request.path}",
            "content": request.body,
            "params": request.query,
            "headers": {**request.headers, "Authorization": f"Bearer {token}"},
        }


class Client:
    """Talks to a Shirase service through its proxy. Safe to share between threads.

    Every method raises ``ClientError`` if the service refuses, or cannot be reached in several attempts. What creates
    something is sent under one idempotency key in all attempts, so that it is never created twice.
    """

    def __init__(self, url: str, token: Token, **options: Unpack[Options]) -> None:
        """Prepare, without connecting.

        Args:
            url: the proxy's address, with the prefix at which a host has mounted the routes, if it has.
            token: a JWT that the service accepts, or what gives one: it is asked before every attempt.
            options: see ``Options``.

        Raises:
            ValueError: if the address is not one, or there is to be no attempt.
        """
        self._way = _Way(url, token, options)
        self._http = httpx.Client(trust_env=False, verify=tls.context())

    def create(self, *, idempotency_key: str | None = None, **fields: Unpack[AddressedInput]) -> Notification:
        """Create a notification; a key of the caller's own makes repeats harmless beyond this call, too."""
        return self._run(protocol.create(fields, idempotency_key))

    def batch(self, wanted: Iterable[AddressedInput], *, idempotency_key: str | None = None) -> list[Notification]:
        """Create 1 to 1,000 notifications, all or nothing, in order."""
        return self._run(protocol.create_batch(wanted, idempotency_key))

    def broadcast(
        self, user_ids: Iterable[str], *, idempotency_key: str | None = None, **fields: Unpack[NotificationInput]
    ) -> int:
        """Create the same for each of 1 to 10,000 distinct users, all or nothing; returns how many."""
        return self._run(protocol.broadcast(user_ids, fields, idempotency_key))

    def get(self, number: int) -> Notification:
        """One of one's own notifications."""
        return self._run(protocol.get(number))

    def unread_count(self) -> int:
        """How many of one's own are unread."""
        return self._run(protocol.unread_count())

    def read(self, ids: Iterable[int]) -> Updated:
        """Mark 1 to 1,000 of one's own read."""
        return self._run(protocol.read(ids))

    def read_all(self) -> Updated:
        """Mark all of one's own read."""
        return self._run(protocol.read_all())

    def delete(self, number: int) -> None:
        """Remove one of one's own."""
        return self._run(protocol.delete(number))

    def disconnect(self, user_id: str) -> int:
        """End all streams of a user, as an operator may; returns how many there were."""
        return self._run(protocol.disconnect(user_id))

    def trace(self, number: int) -> dict[str, Any]:
        """What became of a notification, as an operator may ask; see ``GET /api/notifications/ID/trace``."""
        return self._run(protocol.trace(number))

    def list(
        self,
        *,
        limit: int = 50,
        before: int | None = None,
        unread: bool | None = None,
        type: str | None = None,  # noqa: A002 - the name that it has in REST
    ) -> Page:
        """One page of one's own notifications, newest first."""
        return self._run(protocol.page(limit, before, unread, type))

    def listen(self, cursor: str | None = None) -> Generator[StreamEvent, None, None]:
        """All events from ``cursor`` on, for ever: a stream that ends is opened again where it ended.

        It ends only when the service ends it for good; the ``closing`` event before says why.
        """
        at = Listening(cursor)
        while not at.over:
            outcome: Outcome = None
            try:
                arguments = self._way.arguments(at.request())
                with self._http.stream(**arguments, timeout=self._way.stream_timeout) as answer:
                    if answer.is_success:
                        yield from filter(None, map(at.take, EventSource(answer).iter_sse()))
                    else:
                        answer.read()
                        at.check(outcome := answer)
            except (httpx.TransportError, SSEError):
                pass  # away, or cut off: the service may be back in a moment
            if not at.over:
                time.sleep(at.pause(outcome))

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """Close the connections at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See ``__enter__``."""
        self.close()

    def _run(self, request: Request[T]) -> T:
        call = protocol.call(request, self._way.attempts)
        outcome: Outcome = None
        while True:
            try:
                step = call.send(outcome)
            except StopIteration as done:
                value: T = done.value
                return value
            outcome = self._do(step)

    def _do(self, step: Request[Any] | Pause) -> Outcome:
        if isinstance(step, Pause):
            time.sleep(step.seconds)
            return None
        try:
            return self._http.request(**self._way.arguments(step), timeout=self._way.timeout)
        except httpx.TransportError as exc:
            return exc


class AsyncClient:
    """``Client`` with ``async`` and ``await``."""

    def __init__(self, url: str, token: Token, **options: Unpack[Options]) -> None:
        """As of ``Client``."""
        self._way = _Way(url, token, options)
        self._http = httpx.AsyncClient(trust_env=False, verify=tls.context())

    async def create(self, *, idempotency_key: str | None = None, **fields: Unpack[AddressedInput]) -> Notification:
        """Create a notification."""
        return await self._run(protocol.create(fields, idempotency_key))

    async def batch(
        self, wanted: Iterable[AddressedInput], *, idempotency_key: str | None = None
    ) -> list[Notification]:
        """Create several."""
        return await self._run(protocol.create_batch(wanted, idempotency_key))

    async def broadcast(
        self, user_ids: Iterable[str], *, idempotency_key: str | None = None, **fields: Unpack[NotificationInput]
    ) -> int:
        """Create the same for many users."""
        return await self._run(protocol.broadcast(user_ids, fields, idempotency_key))

    async def get(self, number: int) -> Notification:
        """One of one's own."""
        return await self._run(protocol.get(number))

    async def unread_count(self) -> int:
        """How many of one's own are unread."""
        return await self._run(protocol.unread_count())

    async def read(self, ids: Iterable[int]) -> Updated:
        """Mark some of one's own read."""
        return await self._run(protocol.read(ids))

    async def read_all(self) -> Updated:
        """Mark all of one's own read."""
        return await self._run(protocol.read_all())

    async def delete(self, number: int) -> None:
        """Remove one of one's own."""
        return await self._run(protocol.delete(number))

    async def disconnect(self, user_id: str) -> int:
        """End all streams of a user."""
        return await self._run(protocol.disconnect(user_id))

    async def trace(self, number: int) -> dict[str, Any]:
        """What became of a notification."""
        return await self._run(protocol.trace(number))

    async def list(
        self,
        *,
        limit: int = 50,
        before: int | None = None,
        unread: bool | None = None,
        type: str | None = None,  # noqa: A002 - the name that it has in REST
    ) -> Page:
        """One page of one's own."""
        return await self._run(protocol.page(limit, before, unread, type))

    async def listen(self, cursor: str | None = None) -> AsyncGenerator[StreamEvent, None]:
        """All events from ``cursor`` on."""
        at = Listening(cursor)
        while not at.over:
            outcome: Outcome = None
            try:
                arguments = self._way.arguments(at.request())
                async with self._http.stream(**arguments, timeout=self._way.stream_timeout) as answer:
                    if answer.is_success:
                        async for sent in EventSource(answer).aiter_sse():
                            if event := at.take(sent):
                                yield event
                    else:
                        await answer.aread()
                        at.check(outcome := answer)
            except (httpx.TransportError, SSEError):
                pass
            if not at.over:
                await asyncio.sleep(at.pause(outcome))

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        """Close the connections at the end of the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """See ``__aenter__``."""
        await self.close()

    async def _run(self, request: Request[T]) -> T:
        call = protocol.call(request, self._way.attempts)
        outcome: Outcome = None
        while True:
            try:
                step = call.send(outcome)
            except StopIteration as done:
                value: T = done.value
                return value
            outcome = await self._do(step)

    async def _do(self, step: Request[Any] | Pause) -> Outcome:
        if isinstance(step, Pause):
            await asyncio.sleep(step.seconds)
            return None
        try:
            return await self._http.request(**self._way.arguments(step), timeout=self._way.timeout)
        except httpx.TransportError as exc:
            return exc
