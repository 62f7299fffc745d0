"""The Python client: creates, lists and reads notifications over REST, and listens to a stream like a browser.

    with Client("http://127.0.0.1:7999", token) as client:
        client.create(user_id="42", type="interview.scheduled", title="Interview", message="Tomorrow at ten")
        for event in client.listen():
            ...

``AsyncClient`` is the same with ``async`` and ``await``. Both use the requests of ``requests.py``.
"""

import time
from collections.abc import Generator, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx
from httpx_sse import EventSource, SSEError

from shirase import tls
from shirase.client import protocol, requests
from shirase.client.protocol import (
    Announcement,
    ClientError,
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

__all__ = [
    "Announcement",
    "Client",
    "ClientError",
    "Counts",
    "Notification",
    "Page",
    "Scheduled",
    "StreamEvent",
    "Updated",
]

T = TypeVar("T")


class Client:
    """Uses a Shirase service through its proxy. Safe to share between threads.

    Every method raises ``ClientError`` if the service refuses, or cannot be reached in several attempts. All attempts
    of a create share one idempotency key, so that nothing is created twice.
    """

    def __init__(self, url: str, token: Token, **options: Unpack[Options]) -> None:
        """Prepare, without connecting.

        Args:
            url: the proxy's address, with the prefix if an application mounted the routes.
            token: a JWT that the service accepts, or a function that returns one, called before every attempt.
            options: see ``Options``.

        Raises:
            ValueError: if an address is invalid, or the number of attempts is zero.
        """
        self._service = Service(url, token, options)
        self._http = httpx.Client(trust_env=False, verify=tls.context())

    def create(self, *, idempotency_key: str | None = None, **fields: Unpack[AddressedInput]) -> Notification | None:
        """Create a notification; with an ``idempotency_key``, repeats of this call are harmless too.

        ``None`` if the user has muted it, here and in ``batch`` and ``put``.
        """
        return self._run(requests.create(fields, idempotency_key))

    def batch(
        self, notifications: Iterable[AddressedInput], *, idempotency_key: str | None = None
    ) -> list[Notification | None]:
        """Create 1 to 1,000 notifications, all or nothing, in order."""
        return self._run(requests.create_batch(notifications, idempotency_key))

    def broadcast(
        self, user_ids: Iterable[UserId], *, idempotency_key: str | None = None, **fields: Unpack[KeyedInput]
    ) -> int:
        """Create the same for each of 1 to 10,000 distinct users, all or nothing; returns how many."""
        return self._run(requests.broadcast(user_ids, fields, idempotency_key))

    def announce(
        self,
        topic: str = "everyone",
        *,
        for_newcomers: bool = False,
        idempotency_key: str | None = None,
        **fields: Unpack[KeyedInput],
    ) -> Announcement:
        """Announce something to every user of a topic."""
        return self._run(requests.announce(topic, fields, idempotency_key, for_newcomers=for_newcomers))

    def announcement(self, number: int) -> Announcement:
        """Get an announcement, with how many users it has reached."""
        return self._run(requests.announcement(number))

    def delete_announcement(self, number: int) -> None:
        """Delete an announcement from every inbox that has it."""
        return self._run(requests.delete_announcement(number))

    def change_members(
        self, topic: str, *, add: Iterable[UserId] = (), remove: Iterable[UserId] = ()
    ) -> tuple[int, int]:
        """Change a topic's members, at most 10,000 at a time; returns how many were added and removed."""
        return self._run(requests.change_members(topic, add, remove))

    def get(self, number: int) -> Notification:
        """Get one of the caller's notifications."""
        return self._run(requests.get(number))

    def unread_count(self) -> int:
        """Count the caller's unread notifications."""
        return self._run(requests.unread_count())

    def put(self, *, idempotency_key: str | None = None, **fields: Unpack[AddressedInput]) -> Notification | None:
        """Create the user's notification of this ``key``, or replace the present one."""
        return self._run(requests.put(fields, idempotency_key))

    def retract(self, key: str, *, user_id: UserId | None = None) -> None:
        """Retract the notification of this key, from one user or from everyone."""
        return self._run(requests.retract(key, user_id))

    def schedule(
        self, send_at: datetime, *, idempotency_key: str | None = None, **fields: Unpack[AddressedInput]
    ) -> Scheduled:
        """Create a notification at this time."""
        return self._run(requests.schedule(send_at, fields, idempotency_key))

    def scheduled(self, *, limit: int = 200, after: int | None = None) -> "list[Scheduled]":
        """List this producer's unsent scheduled notifications, after the id ``after``."""
        return self._run(requests.scheduled(limit, after))

    def cancel(self, scheduled_id: int) -> None:
        """Cancel a scheduled notification."""
        return self._run(requests.cancel(scheduled_id))

    def put_type(self, name: str, entry: Mapping[str, Any]) -> None:
        """Store an entry of the catalogue of types, as an operator; see ``PUT /api/types/TYPE``."""
        return self._run(requests.put_type(name, entry))

    def types(self) -> "list[dict[str, Any]]":
        """List the catalogue of types; see ``GET /api/types``."""
        return self._run(requests.types())

    def delete_type(self, name: str) -> None:
        """Remove a type from the catalogue, as an operator."""
        return self._run(requests.delete_type(name))

    def preferences(self) -> dict[str, Any]:
        """Get the caller's preferences; see ``GET /api/preferences``."""
        return self._run(requests.preferences())

    def put_preferences(self, preferences: Mapping[str, Any]) -> None:
        """Replace the caller's preferences."""
        return self._run(requests.put_preferences(preferences))

    def put_contact(self, user_id: UserId, contact: Mapping[str, Any]) -> None:
        """Set a user's ``email``, ``locale``, ``timezone`` and ``apprise``; what is left out is removed."""
        return self._run(requests.put_contact(user_id, contact))

    def counts(self) -> Counts:
        """Count the caller's unread and unseen notifications."""
        return self._run(requests.counts())

    def read(self, ids: Iterable[int]) -> Updated:
        """Mark 1 to 1,000 of the caller's notifications as read."""
        return self._run(requests.change("read", ids))

    def read_all(self) -> Updated:
        """Mark all of the caller's notifications as read."""
        return self._run(requests.change("read-all"))

    def unread(self, ids: Iterable[int]) -> Updated:
        """Mark 1 to 1,000 of the caller's notifications as unread."""
        return self._run(requests.change("unread", ids))

    def archive(self, ids: Iterable[int]) -> Updated:
        """Archive 1 to 1,000 of the caller's notifications."""
        return self._run(requests.change("archive", ids))

    def archive_all(self) -> Updated:
        """Archive all of the caller's notifications."""
        return self._run(requests.change("archive-all"))

    def unarchive(self, ids: Iterable[int]) -> Updated:
        """Unarchive 1 to 1,000 of the caller's notifications."""
        return self._run(requests.change("unarchive", ids))

    def seen(self) -> None:
        """Mark everything up to now as seen."""
        return self._run(requests.seen())

    def delete(self, number: int) -> None:
        """Delete one of the caller's notifications."""
        return self._run(requests.delete(number))

    def disconnect(self, user_id: UserId) -> int:
        """End all streams of a user, as an operator; return their number."""
        return self._run(requests.disconnect(user_id))

    def erase_user(self, user_id: UserId) -> bool:
        """Erase a user, as an operator; false while the service is still erasing. Repeating it is harmless."""
        return self._run(requests.erase_user(user_id))

    def export_user(self, user_id: UserId) -> Generator[dict[str, Any], None, None]:
        """Yield everything stored about a user, row by row, as an operator; ``table`` names each row's table.

        Raises:
            ClientError: if the service refuses, or if the export is cut off before its end.
        """
        lines = protocol.Export()
        try:
            arguments = self._service.arguments(requests.export_user(user_id))
            with self._http.stream(**arguments, timeout=self._service.timeout) as answer:
                if not answer.is_success:
                    answer.read()
                    raise protocol.refused(answer)
                yield from filter(None, map(lines.take, answer.iter_lines()))
        except httpx.TransportError as exc:
            raise protocol.unreachable(exc) from exc
        lines.require_end()

    def put_webhook(
        self, name: str, url: str, *, types: Iterable[str] = (), secret: str | None = None
    ) -> dict[str, Any]:
        """Create or change a webhook, as an operator; no ``types`` stand for all."""
        return self._run(requests.put_webhook(name, url, types, secret))

    def webhooks(self) -> "list[dict[str, Any]]":
        """List the webhooks with their states, as an operator."""
        return self._run(requests.webhooks())

    def delete_webhook(self, name: str) -> None:
        """Delete a webhook, as an operator."""
        return self._run(requests.delete_webhook(name))

    def retry_webhook(self, name: str, *, skip: bool = False) -> dict[str, Any]:
        """Try a webhook again now, as an operator; with ``skip``, drop the event that it refuses."""
        return self._run(requests.retry_webhook(name, skip=skip))

    def trace(self, number: int) -> dict[str, Any]:
        """Get the history of a notification, as an operator; see ``GET /api/notifications/ID/trace``."""
        return self._run(requests.trace(number))

    def list(
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
        return self._run(requests.page(limit, **filters))

    def listen(self, cursor: str | None = None) -> Generator[StreamEvent, None, None]:
        """Yield all events after ``cursor``, without an end: a stream that breaks is resumed.

        It ends only if the service ends it for good, with the reason in the last event, ``closing``.
        """
        at = Listening(cursor)
        while not at.over:
            outcome: Outcome = None
            try:
                arguments = self._service.arguments(at.request())
                with self._http.stream(**arguments, timeout=self._service.stream_timeout) as answer:
                    if answer.is_success:
                        yield from filter(None, map(at.take, EventSource(answer).iter_sse()))
                    else:
                        answer.read()
                        at.check(outcome := answer)
            except (httpx.TransportError, SSEError):
                pass  # unreachable or cut off; the service may be back in a moment
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
        call = protocol.call(request, self._service.attempts)
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
            return self._http.request(**self._service.arguments(step), timeout=self._service.timeout)
        except httpx.TransportError as exc:
            return exc
