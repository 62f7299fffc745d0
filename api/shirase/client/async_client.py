"""``Client`` with ``async`` and ``await``."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx
from httpx_sse import EventSource, SSEError

from shirase import tls
from shirase.client import protocol, requests
from shirase.client.protocol import (
    Announcement,
    Counts,
    Listening,
    Notification,
    Outcome,
    Page,
    Pause,
    Request,
    Scheduled,
    StreamEvent,
    Updated,
)
from shirase.client.service import Options, Service, Token
from shirase.fields import AddressedInput, KeyedInput, UserId

T = TypeVar("T")


class AsyncClient:
    """``Client`` with ``async`` and ``await``."""

    def __init__(self, url: str, token: Token, **options: Unpack[Options]) -> None:
        """See ``Client``."""
        self._service = Service(url, token, options)
        self._http = httpx.AsyncClient(trust_env=False, verify=tls.context())

    async def create(
        self, *, idempotency_key: str | None = None, **fields: Unpack[AddressedInput]
    ) -> Notification | None:
        """Create a notification."""
        return await self._run(requests.create(fields, idempotency_key))

    async def batch(
        self, notifications: Iterable[AddressedInput], *, idempotency_key: str | None = None
    ) -> list[Notification | None]:
        """Create several."""
        return await self._run(requests.create_batch(notifications, idempotency_key))

    async def broadcast(
        self, user_ids: Iterable[UserId], *, idempotency_key: str | None = None, **fields: Unpack[KeyedInput]
    ) -> int:
        """Create the same for many users."""
        return await self._run(requests.broadcast(user_ids, fields, idempotency_key))

    async def announce(
        self,
        topic: str = "everyone",
        *,
        for_newcomers: bool = False,
        idempotency_key: str | None = None,
        **fields: Unpack[KeyedInput],
    ) -> Announcement:
        """Announce something to every user of a topic."""
        return await self._run(requests.announce(topic, fields, idempotency_key, for_newcomers=for_newcomers))

    async def announcement(self, number: int) -> Announcement:
        """Get an announcement, with how many users it has reached."""
        return await self._run(requests.announcement(number))

    async def delete_announcement(self, number: int) -> None:
        """Delete an announcement from every inbox that has it."""
        return await self._run(requests.delete_announcement(number))

    async def change_members(
        self, topic: str, *, add: Iterable[UserId] = (), remove: Iterable[UserId] = ()
    ) -> tuple[int, int]:
        """Change a topic's members, at most 10,000 at a time; returns how many were added and removed."""
        return await self._run(requests.change_members(topic, add, remove))

    async def get(self, number: int) -> Notification:
        """Get one of the caller's notifications."""
        return await self._run(requests.get(number))

    async def unread_count(self) -> int:
        """Count the caller's unread notifications."""
        return await self._run(requests.unread_count())

    async def put(self, *, idempotency_key: str | None = None, **fields: Unpack[AddressedInput]) -> Notification | None:
        """Create the user's notification of this ``key``, or replace the present one."""
        return await self._run(requests.put(fields, idempotency_key))

    async def retract(self, key: str, *, user_id: UserId | None = None) -> None:
        """Retract the notification of this key, from one user or from everyone."""
        return await self._run(requests.retract(key, user_id))

    async def schedule(
        self, send_at: datetime, *, idempotency_key: str | None = None, **fields: Unpack[AddressedInput]
    ) -> Scheduled:
        """Create a notification at this time."""
        return await self._run(requests.schedule(send_at, fields, idempotency_key))

    async def scheduled(self, *, limit: int = 200, after: int | None = None) -> "list[Scheduled]":
        """List this producer's unsent scheduled notifications, after the id ``after``."""
        return await self._run(requests.scheduled(limit, after))

    async def cancel(self, scheduled_id: int) -> None:
        """Cancel a scheduled notification."""
        return await self._run(requests.cancel(scheduled_id))

    async def put_type(self, name: str, entry: Mapping[str, Any]) -> None:
        """Store an entry of the catalogue of types, as an operator; see ``PUT /api/types/TYPE``."""
        return await self._run(requests.put_type(name, entry))

    async def types(self) -> "list[dict[str, Any]]":
        """List the catalogue of types; see ``GET /api/types``."""
        return await self._run(requests.types())

    async def delete_type(self, name: str) -> None:
        """Remove a type from the catalogue."""
        return await self._run(requests.delete_type(name))

    async def preferences(self) -> dict[str, Any]:
        """Get the caller's preferences; see ``GET /api/preferences``."""
        return await self._run(requests.preferences())

    async def put_preferences(self, preferences: Mapping[str, Any]) -> None:
        """Replace the caller's preferences."""
        return await self._run(requests.put_preferences(preferences))

    async def put_contact(self, user_id: UserId, contact: Mapping[str, Any]) -> None:
        """Set a user's ``email``, ``locale``, ``timezone`` and ``apprise``; what is left out is removed."""
        return await self._run(requests.put_contact(user_id, contact))

    async def counts(self) -> Counts:
        """Count the caller's unread and unseen notifications."""
        return await self._run(requests.counts())

    async def read(self, ids: Iterable[int]) -> Updated:
        """Mark 1 to 1,000 of the caller's notifications as read."""
        return await self._run(requests.change("read", ids))

    async def read_all(self) -> Updated:
        """Mark all of the caller's notifications as read."""
        return await self._run(requests.change("read-all"))

    async def unread(self, ids: Iterable[int]) -> Updated:
        """Mark 1 to 1,000 of the caller's notifications as unread."""
        return await self._run(requests.change("unread", ids))

    async def archive(self, ids: Iterable[int]) -> Updated:
        """Archive 1 to 1,000 of the caller's notifications."""
        return await self._run(requests.change("archive", ids))

    async def archive_all(self) -> Updated:
        """Archive all of the caller's notifications."""
        return await self._run(requests.change("archive-all"))

    async def unarchive(self, ids: Iterable[int]) -> Updated:
        """Unarchive 1 to 1,000 of the caller's notifications."""
        return await self._run(requests.change("unarchive", ids))

    async def seen(self) -> None:
        """Mark everything up to now as seen."""
        return await self._run(requests.seen())

    async def delete(self, number: int) -> None:
        """Delete one of the caller's notifications."""
        return await self._run(requests.delete(number))

    async def disconnect(self, user_id: UserId) -> int:
        """End all streams of a user."""
        return await self._run(requests.disconnect(user_id))

    async def erase_user(self, user_id: UserId) -> bool:
        """Erase a user; false while the service is still erasing."""
        return await self._run(requests.erase_user(user_id))

    async def export_user(self, user_id: UserId) -> AsyncGenerator[dict[str, Any], None]:
        """Yield everything stored about a user, row by row."""
        lines = protocol.Export()
        try:
            arguments = self._service.arguments(requests.export_user(user_id))
            async with self._http.stream(**arguments, timeout=self._service.timeout) as answer:
                if not answer.is_success:
                    await answer.aread()
                    raise protocol.refused(answer)
                async for line in answer.aiter_lines():
                    if row := lines.take(line):
                        yield row
        except httpx.TransportError as exc:
            raise protocol.unreachable(exc) from exc
        lines.require_end()

    async def put_webhook(
        self, name: str, url: str, *, types: Iterable[str] = (), secret: str | None = None
    ) -> dict[str, Any]:
        """Create or change a webhook."""
        return await self._run(requests.put_webhook(name, url, types, secret))

    async def webhooks(self) -> "list[dict[str, Any]]":
        """List the webhooks with their states."""
        return await self._run(requests.webhooks())

    async def delete_webhook(self, name: str) -> None:
        """Delete a webhook."""
        return await self._run(requests.delete_webhook(name))

    async def retry_webhook(self, name: str, *, skip: bool = False) -> dict[str, Any]:
        """Try a webhook again now."""
        return await self._run(requests.retry_webhook(name, skip=skip))

    async def trace(self, number: int) -> dict[str, Any]:
        """Get the history of a notification."""
        return await self._run(requests.trace(number))

    async def list(
        self,
        *,
        limit: int = 50,
        before: int | None = None,
        unread: bool | None = None,
        type: str | None = None,  # noqa: A002 - its name in REST
        category: str | None = None,
        archived: bool | None = None,
        q: str | None = None,
    ) -> Page:
        """Get a page of the caller's notifications, in the order of the list."""
        filters = {"before": before, "unread": unread, "type": type, "category": category, "archived": archived, "q": q}
        return await self._run(requests.page(limit, **filters))

    async def listen(self, cursor: str | None = None) -> AsyncGenerator[StreamEvent, None]:
        """Yield all events after ``cursor``."""
        at = Listening(cursor)
        while not at.over:
            outcome: Outcome = None
            try:
                arguments = self._service.arguments(at.request())
                async with self._http.stream(**arguments, timeout=self._service.stream_timeout) as answer:
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
        call = protocol.call(request, self._service.attempts)
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
            return await self._http.request(**self._service.arguments(step), timeout=self._service.timeout)
        except httpx.TransportError as exc:
            return exc
