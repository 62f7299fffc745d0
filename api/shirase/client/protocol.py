"""The Python client without its socket: requests, retries, and a listener's position.

``client.py`` and ``async_client.py`` execute it.
"""

import logging
import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, make_dataclass
from dataclasses import fields as dataclass_fields
from datetime import datetime
from http import HTTPStatus
from typing import Any, Generic, TypeVar

import httpx
import orjson
from httpx_sse import ServerSentEvent

from shirase.errors import FieldError
from shirase.fields import FIELDS

STREAM = "/api/sse/notifications"
AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)  # statuses that a retry may change
DELAYS = (0.5, 30.0)  # seconds between two attempts: the first, the longest; each is spread over its upper half
LONGEST_WAIT = 60.0  # seconds of a Retry-After that are respected

log = logging.getLogger(__name__)

T = TypeVar("T")


class ClientError(Exception):
    """The service refused, or could not be reached in all attempts; ``str(error)`` has the reason.

    ``status`` is that of the response, ``None`` without one; ``errors`` are the invalid fields. A create without a
    response may have taken effect: repeat it with its ``idempotency_key``.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        errors: tuple[FieldError, ...] = (),
        idempotency_key: str | None = None,
    ) -> None:
        """Take the fields of the problem document."""
        super().__init__(message)
        self.status = status
        self.errors = errors
        self.idempotency_key = idempotency_key


_Declared: Any = make_dataclass("_Declared", [(name, Any) for name in FIELDS], frozen=True, slots=True)


@dataclass(frozen=True, slots=True)
class Notification(_Declared):  # type: ignore[misc]
    """A stored notification: the fields of ``NotificationInput`` and what the service adds."""

    id: int
    user_id: str
    position: int  # in the list, highest first
    revision: int
    count: int  # of the notifications folded into it
    actors: list[dict[str, Any]]
    is_read: bool
    is_seen: bool
    read_at: datetime | None
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Notification":
        """Read the service's JSON, ignoring fields of newer releases."""
        known: dict[str, Any] = {member.name: values.get(member.name) for member in dataclass_fields(cls)}
        times = {name: datetime.fromisoformat(text) for name, text in known.items() if text and name.endswith("_at")}
        return cls(**known | times)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of notifications; ``next_before`` requests the next page, and is ``None`` on the last.

    ``listen(cursor)`` continues from it, so that nothing is missed in between.
    """

    notifications: list[Notification]
    unread_count: int
    next_before: int | None
    cursor: str


@dataclass(frozen=True, slots=True)
class Updated:
    """The number of changed notifications, and the unread count."""

    updated: int
    unread_count: int


@dataclass(frozen=True, slots=True)
class Counts:
    """The unread and unseen counts, and the unread count by category."""

    unread_count: int
    unseen_count: int
    by_category: dict[str, int]


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A scheduled notification."""

    scheduled_id: int
    send_at: datetime


@dataclass(frozen=True, slots=True)
class Announcement:
    """An announcement, and how many users it has reached."""

    id: int
    topic: str
    type: str
    title: str
    created_at: datetime
    expires_at: datetime | None
    reached: int
    read: int
    waiting: int | None  # connected users who have not considered it; only in the answer for a single announcement

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Announcement":
        """Read the service's JSON, ignoring the other fields."""
        known: dict[str, Any] = {member.name: values.get(member.name) for member in dataclass_fields(cls)}
        times = {name: datetime.fromisoformat(text) for name, text in known.items() if text and name.endswith("_at")}
        return cls(**known | times)


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """An event of the stream; ``id`` is the cursor after it, if it has one."""

    event: str
    id: str | None
    data: dict[str, Any]

    @property
    def notification(self) -> Notification | None:
        """The notification of a ``notification`` or ``updated`` event."""
        return Notification.from_json(self.data) if self.event in ("notification", "updated") else None


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """A request, the same in every attempt, with the reader of its answer."""

    method: str
    path: str
    read: Callable[[Any], T]
    body: bytes | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds to wait before the next attempt."""

    seconds: float


Outcome = httpx.Response | httpx.TransportError | None
Call = Generator[Request[T] | Pause, Outcome, T]


def call(request: Request[T], attempts: int) -> Call[T]:
    """Make a request until it is answered: yields actions, receives their outcomes, returns the result.

    Raises:
        ClientError: if it is refused, or after the last attempt.
    """
    for attempt in range(1, attempts + 1):
        outcome = yield request
        if isinstance(outcome, httpx.Response):
            if outcome.is_success:
                return request.read(outcome.json() if outcome.content else None)
            if attempt > 1 and request.method == "DELETE" and outcome.status_code == HTTPStatus.NOT_FOUND:
                return request.read(None)  # an earlier attempt, whose answer was lost, deleted it
            if attempt == attempts or outcome.status_code not in AGAIN:
                raise refused(outcome, request)
        elif attempt == attempts:
            raise unreachable(outcome, request)
        yield Pause(pause(attempt, outcome))
    raise ValueError("there must be one attempt at least")


def pause(attempt: int, outcome: Outcome, first: float = DELAYS[0]) -> float:
    """Return the delay after a failed attempt: doubling and randomised, or the answer's Retry-After."""
    longest = min(first * 2 ** min(attempt - 1, 16), max(DELAYS[1], first))
    fields = outcome.headers.get("Retry-After", "") if isinstance(outcome, httpx.Response) else ""
    asked = min(float(fields), LONGEST_WAIT) if fields.isdecimal() else 0.0
    return max(random.uniform(longest / 2, longest), asked)  # noqa: S311 - only spreads retries


def refused(answer: httpx.Response, request: Request[Any] | None = None) -> ClientError:
    """Convert a problem document to an error."""
    errors: tuple[FieldError, ...] = ()
    try:
        problem = answer.json()
        detail = f"{problem['title']}: {problem['detail']}"
        errors = tuple(FieldError(str(error["field"]), str(error["message"])) for error in problem.get("errors") or ())
    except (ValueError, KeyError, TypeError):
        detail = answer.text[:200].strip() or answer.reason_phrase
    message = f"{answer.status_code} {detail}"
    return ClientError(message, status=answer.status_code, errors=errors, idempotency_key=_key(request))


def unreachable(reason: httpx.TransportError | None, request: Request[Any] | None = None) -> ClientError:
    """Convert a missing answer to an error."""
    error = ClientError(f"the service cannot be reached: {reason}", idempotency_key=_key(request))
    error.__cause__ = reason
    return error


def _key(request: Request[Any] | None) -> str | None:
    return request.headers.get("Idempotency-Key") if request else None


def _object(text: str) -> dict[str, Any] | None:
    try:
        answer = orjson.loads(text)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


class Export:
    """The lines of an export, whose last line marks its end."""

    def __init__(self) -> None:
        """Begin before the first line."""
        self._ended = False

    def take(self, line: str) -> dict[str, Any] | None:
        """The row of a line; ``None`` for the first and the last line, which hold no row."""
        row = _object(line) or {}
        self._ended = bool(row.get("end"))
        return row if "table" in row else None

    def require_end(self) -> None:
        """Check that the last line was read.

        Raises:
            ClientError: if it was not.
        """
        if not self._ended:
            raise ClientError("the export was cut off before its end")


class Listening:
    """A listener's position, and whether and when it reconnects."""

    def __init__(self, cursor: str | None) -> None:
        """Begin after the cursor, or at the end of the log."""
        self.over = False
        self._cursor = cursor
        self._first_delay = 1.0  # seconds, until the stream sends a `retry:`
        self._failures = 0

    def request(self) -> Request[None]:
        """Return the request that resumes the stream."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self._cursor} if self._cursor else {})
        return Request("GET", STREAM, lambda _: None, headers=headers)

    def take(self, sent: ServerSentEvent) -> StreamEvent | None:
        """Process an event; ``None`` if a browser would not dispatch it (WHATWG HTML, section 9.2.6).

        One with damaged data is logged and skipped: reconnecting would deliver it again.
        """
        if not sent.data:
            return None
        self._failures = 0
        self._cursor = sent.id or self._cursor
        if sent.retry is not None:
            self._first_delay = sent.retry / 1000
        data = _object(sent.data)
        if data is None:
            log.warning(
                "event %r with id %r is damaged and is passed over: its data is no JSON object", sent.event, sent.id
            )
            return None
        event = StreamEvent(sent.event, sent.id or None, data)
        self.over = event.event == "closing" and not event.data.get("reconnect")
        return event

    def check(self, answer: httpx.Response) -> None:
        """Process an answer that is not a stream.

        Raises:
            ClientError: if another attempt would have the same result.
        """
        if answer.status_code not in AGAIN:
            raise refused(answer)

    def pause(self, outcome: Outcome = None) -> float:
        """Return the seconds until the stream is opened again."""
        self._failures += 1
        return pause(self._failures, outcome, self._first_delay)
