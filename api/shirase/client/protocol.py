"""What the Python client asks and how it takes the answers, without a socket: requests, retries, a listener's place.

``client.py`` carries this out, once in plain Python and once with ``async``.
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
AGAIN = (408, 409, 425, 429, 500, 502, 503, 504)  # statuses that another try may change
DELAYS = (0.5, 30.0)  # seconds between two attempts: the first, the longest; each is spread over its upper half
LONGEST_WAIT = 60.0  # seconds that a Retry-After is followed

log = logging.getLogger(__name__)

T = TypeVar("T")


class ClientError(Exception):
    """The service refused, or could not be reached in as many attempts as there are. ``str(error)`` says why.

    ``status`` is that of the answer, ``None`` if there was none; ``errors`` are the fields that are wrong. A create
    that failed for lack of an answer may have taken effect: repeat it with its ``idempotency_key``.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        errors: tuple[FieldError, ...] = (),
        idempotency_key: str | None = None,
    ) -> None:
        """Carry what the problem document fields."""
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
    position: int  # in the list, which begins with the highest
    revision: int
    count: int  # of those that were folded into it
    actors: list[dict[str, Any]]
    is_read: bool
    is_seen: bool
    read_at: datetime | None
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Notification":
        """Read what the service sends; fields that a newer one adds are passed over."""
        known: dict[str, Any] = {one.name: values.get(one.name) for one in dataclass_fields(cls)}
        times = {name: datetime.fromisoformat(text) for name, text in known.items() if text and name.endswith("_at")}
        return cls(**known | times)


@dataclass(frozen=True, slots=True)
class Page:
    """Notifications in the order of the list; ``next_before`` asks for the next page, ``None``: this was the last."""

    notifications: list[Notification]
    unread_count: int
    next_before: int | None


@dataclass(frozen=True, slots=True)
class Updated:
    """How many were changed, and how many are unread now."""

    updated: int
    unread_count: int


@dataclass(frozen=True, slots=True)
class Counts:
    """How many are unread and unseen, and how many are unread of each category."""

    unread_count: int
    unseen_count: int
    by_category: dict[str, int]


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A notification that waits for its time."""

    scheduled_id: int
    send_at: datetime


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event of the stream; ``id`` is the cursor behind it, where it has one."""

    event: str
    id: str | None
    data: dict[str, Any]

    @property
    def notification(self) -> Notification | None:
        """What a ``notification`` or ``updated`` event is about."""
        return Notification.from_json(self.data) if self.event in ("notification", "updated") else None


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """One request, the same in every attempt, and how its answer is read."""

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
    """Make a request until it is answered: yields what to do next, is sent what came of it, returns what was fields.

    Raises:
        ClientError: if it is refused, or after the last attempt.
    """
    for attempt in range(1, attempts + 1):
        outcome = yield request
        if isinstance(outcome, httpx.Response):
            if outcome.is_success:
                return request.read(outcome.json() if outcome.content else None)
            if attempt > 1 and request.method == "DELETE" and outcome.status_code == HTTPStatus.NOT_FOUND:
                return request.read(None)  # an attempt whose answer was lost has removed it
            if attempt == attempts or outcome.status_code not in AGAIN:
                raise refused(outcome, request)
        elif attempt == attempts:
            raise unreachable(outcome, request)
        yield Pause(pause(attempt, outcome))
    raise ValueError("there must be one attempt at least")


def pause(attempt: int, outcome: Outcome, first: float = DELAYS[0]) -> float:
    """Seconds to wait after an attempt that failed: twice as long each time, spread, or as long as the answer says."""
    longest = min(first * 2 ** min(attempt - 1, 16), max(DELAYS[1], first))
    fields = outcome.headers.get("Retry-After", "") if isinstance(outcome, httpx.Response) else ""
    asked = min(float(fields), LONGEST_WAIT) if fields.isdecimal() else 0.0
    return max(random.uniform(longest / 2, longest), asked)  # noqa: S311 - spreads retries, protects nothing


def refused(answer: httpx.Response, request: Request[Any] | None = None) -> ClientError:
    """What a problem document says, as an error."""
    errors: tuple[FieldError, ...] = ()
    try:
        problem = answer.json()
        detail = f"{problem['title']}: {problem['detail']}"
        errors = tuple(FieldError(str(one["field"]), str(one["message"])) for one in problem.get("errors") or ())
    except (ValueError, KeyError, TypeError):
        detail = answer.text[:200].strip() or answer.reason_phrase
    message = f"{answer.status_code} {detail}"
    return ClientError(message, status=answer.status_code, errors=errors, idempotency_key=_key(request))


def unreachable(reason: httpx.TransportError | None, request: Request[Any] | None = None) -> ClientError:
    """That no answer came, as an error."""
    error = ClientError(f"the service cannot be reached: {reason}", idempotency_key=_key(request))
    error.__cause__ = reason
    return error


def _key(request: Request[Any] | None) -> str | None:
    return request.headers.get("Idempotency-Key") if request else None


def _object(text: str) -> dict[str, Any] | None:
    try:
        found = orjson.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


class Listening:
    """Where a listener stands in the stream, and whether and when it opens the stream again."""

    def __init__(self, cursor: str | None) -> None:
        """Begin behind the cursor, or at the present."""
        self.over = False
        self._cursor = cursor
        self._first_delay = 1.0  # seconds, until the stream names another
        self._failures = 0

    def request(self) -> Request[None]:
        """What opens the stream where it was left."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": self._cursor} if self._cursor else {})
        return Request("GET", STREAM, lambda _: None, headers=headers)

    def take(self, sent: ServerSentEvent) -> StreamEvent | None:
        """Note one event; ``None`` for one that a browser would not dispatch (WHATWG HTML, section 9.2.6).

        One whose data is damaged is logged and passed over: to open the stream again would bring the same one again.
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
        """Look at an answer that is no stream.

        Raises:
            ClientError: if another attempt would be answered in the same way.
        """
        if answer.status_code not in AGAIN:
            raise refused(answer)

    def pause(self, outcome: Outcome = None) -> float:
        """Seconds until the stream is opened again."""
        self._failures += 1
        return pause(self._failures, outcome, self._first_delay)
