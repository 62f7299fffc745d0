"""A stream read in a thread of its own, so that each event gets the time of its arrival."""

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import httpx
from httpx_sse import EventSource, SSEError

from shirase import tls

PATH = "/api/sse/notifications"
SILENCE = 60.0  # seconds without a byte; longer than all checks take


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event and the time of its arrival."""

    name: str
    data: Any
    at: float  # time.monotonic()
    after: float  # seconds since the stream was requested


class Stream:
    """One stream, opened once."""

    def __init__(self, url: str, token: str) -> None:
        self.refused: int | None = None  # the status, if it was not 200
        self.greeted: dict[str, Any] | None = None  # the data of ``connected``
        self._url = url
        self._headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
        self._http = httpx.Client(timeout=httpx.Timeout(SILENCE), trust_env=False, verify=tls.context())
        self._arrived: queue.SimpleQueue[Arrived | None] = queue.SimpleQueue()

    def open(self) -> None:
        """Start reading in a thread, which ends with the stream or the process."""
        threading.Thread(target=self._read, name="stream", daemon=True).start()

    def next(self, name: str, timeout: float, matches: Callable[[Any], bool] = lambda _: True) -> Arrived | None:
        """Return the next matching event; ``None`` if none arrived in time, or the stream ended."""
        deadline = time.monotonic() + timeout
        while (rest := deadline - time.monotonic()) > 0:
            try:
                arrived = self._arrived.get(timeout=rest)
            except queue.Empty:
                return None
            if arrived is None:
                return None
            if arrived.name == name and matches(arrived.data):
                if name == "connected":
                    self.greeted = arrived.data
                return arrived
        return None

    def close(self) -> None:
        """Close the stream."""
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
            pass  # it was cut, or closed by us
        finally:
            self._arrived.put(None)
