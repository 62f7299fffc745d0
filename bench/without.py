"""``bench.without:app``: the handlers without the part that ``BENCH_WITHOUT`` names, for ``bench.bounds``."""

import itertools
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import false

from shirase.inbox import connections, notifications, recoveries, streams
from shirase.proxy import grip
from shirase.proxy.sse import CONTENT_TYPE
from shirase.store import connections as registry
from shirase.store import log
from shirase.types import START, Draft, Notification, Position, Stored
from shirase.wsgi import app as handlers

Environ = dict[str, Any]
Start = Callable[..., Any]
App = Callable[[Environ, Start], Iterable[bytes]]

JSON = "application/json"
PLACE = re.compile(r"; prev-id=[^,;]*")
numbers = itertools.count()


def without_second_request(environ: Environ, start: Start) -> Iterable[bytes]:
    """The proxy gets no link at which to read a stream again, and no place in its channels, which would need one."""

    def begin(status: str, headers: Sequence[tuple[str, str]], *error: Any) -> Any:
        kept = [(name, PLACE.sub("", value)) for name, value in headers if name != "Grip-Link"]
        return start(status, kept, *error)

    return handlers(environ, begin)


def without_announcements() -> App:
    """A connect does not ask whether there is an announcement."""
    log.HAS_NEWS = false()
    for name in ("_ADDED", "_STANDING"):
        statement = getattr(registry, name)
        setattr(registry, name, statement.with_only_columns(*list(statement.selected_columns)[:-1], false()))
    return handlers


def without_publish() -> App:
    """Events are stored and not published."""
    notifications.publish_stored = lambda *_: None
    return handlers


def without_database() -> App:
    """Nothing is stored, so nothing is published; no connection is counted, and every log is empty."""
    connections.admit = lambda *_: Position(0, 0, is_known=True)
    recoveries.unchanged = lambda database, lasts: lasts  # noqa: ARG005
    notifications.create = _create  # type: ignore[assignment]
    return handlers


def _create(
    _database: object, _publisher: object, drafts: Sequence[Draft], *, answer: Callable[..., str], **_: object
) -> tuple[str, bool]:
    now = datetime.now(UTC)
    stored = [Stored(Notification(1, draft.user_id, draft.content, now), (), is_new=True) for draft in drafts]
    return answer(stored), False


def without_handlers(environ: Environ, start: Start) -> Iterable[bytes]:
    """A constant: each stream is held at the beginning of a log, and a create's body is its answer."""
    if environ["PATH_INFO"] == streams.HOLDS_PATH:
        lasts = orjson.loads(environ["wsgi.input"].read())["last"]
        return _answer(start, {"Content-Type": JSON}, orjson.dumps({"holds": [_hold(last) for last in lasts]}))
    if environ["REQUEST_METHOD"] == "POST":
        return _answer(start, {"Content-Type": JSON}, environ["wsgi.input"].read(), "201 Created")
    if last := environ.get("HTTP_GRIP_LAST"):
        return _answer(start, _hold(last), b"")
    name = f"{os.getpid()}-{next(numbers)}"
    return _answer(start, _hold(f"u-{name}; last-id=0, c-{name}; last-id=0"), b"event: connected\ndata: {}\n\n")


def _hold(last: str) -> Mapping[str, str]:
    """The headers that hold a stream at the same place."""
    hold = grip.hold_stream("", "", START, next_path=streams.NEXT_PATH, keepalive=30, again=3600).headers("GET")
    return {**hold, "Grip-Channel": last.replace("last-id", "prev-id")}


def _answer(start: Start, headers: Mapping[str, str], body: bytes, status: str = "200 OK") -> Iterable[bytes]:
    start(status, list({"Content-Type": CONTENT_TYPE, "Content-Length": str(len(body)), **headers}.items()))
    return [body]


APPS: Mapping[str, Callable[[], App]] = {
    "the second request": lambda: without_second_request,
    "announcements": without_announcements,
    "the publish": without_publish,
    "the database": without_database,
    "our handler": lambda: without_handlers,
}
app = APPS[os.environ["BENCH_WITHOUT"]]()
