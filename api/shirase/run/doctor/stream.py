"""A stream that is read beside the checks, so that each event is taken at the moment when it comes."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
from httpx_sse import EventSource, SSEError

PATH = "/api/sse/notifications"
SILENCE = 60.0  # seconds without a byte; the checks have long ended by then


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event, and when it came."""

    name: str
    data: Any
    at: float  # time.monotonic()
    after: float  # seconds since the stream was asked for


class Stream:
    """One stream, opened once and not again."""

    def __init__(self, url: str, token: str) -> None:
        """Prepare, without connecting."""
        self.refused: int | None = None  # the status, if it was not 200
        self.greeted: dict[str, Any] | None = None  # what ``connected`` said
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        self._http = httpx.Client(timeout=httpx.Timeout(SILENCE), trust_env=False)
        self._arrived: queue.SimpleQueue[Arrived | None] = queue.SimpleQueue()

    def open(self) -> None:
        """Begin to read. The thread ends with the stream, or with the process."""
        threading.Thread(target=self._read, name="stream", daemon=True).start()

    def next(self, name: str, timeout: float, wanted: Callable[[Any], bool] = lambda _: True) -> Arrived | None:
        """The next event of that name; ``None`` if none came in time, or the stream has ended."""
        deadline = time.monotonic() + timeout
        while (rest := deadline - time.monotonic()) > 0:
            try:
                arrived = self._arrived.get(timeout=rest)
            except queue.Empty:
                return None
            if arrived is None:
                return None
            if arrived.name == name and wanted(arrived.data):
                if name == "connected":
                    self.greeted = arrived.data
                return arrived
        return None

    def close(self) -> None:
        """End it."""
        self._http.close()

    def _read(self) -> None:
        begun = time.monotonic()
        try:
            with self._http.stream("GET", self._url, headers=self._headers) as answer:
                if answer.status_code != HTTPStatus.OK:
                    self.refused = answer.status_code
                    return
                for event in EventSource(answer).iter_sse():
                    now = time.monotonic()
                    if event.data:
                        self._arrived.put(Arrived(event.event, event.json(), now, now - begun))
        except (httpx.HTTPError, httpx.StreamError, SSEError, OSError, RuntimeError):
            pass  # it was cut, or we have let go of it
        finally:
            self._arrived.put(None)
