"""A stream that is opened once: when it ends, that is a loss."""

import json
import threading
from contextlib import suppress
from typing import Any

import httpx

OPENED = 30.0  # seconds


class HeldStream:
    """The titles of the notifications that one stream carries, read in a thread of its own."""

    def __init__(self, http: httpx.Client) -> None:
        """Open it through a client of its own, and wait for its first event.

        Raises:
            RuntimeError: if it does not open.
        """
        self.titles: list[str] = []
        self.ended = False
        self._http = http
        self._greeted = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()
        if not self._greeted.wait(OPENED):
            raise RuntimeError("a stream does not open")

    def _read(self) -> None:
        event = ""
        with suppress(httpx.HTTPError, RuntimeError), self._http.stream("GET", "/api/sse/notifications") as answer:
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    event = value
                elif name == "data" and event == "connected":
                    self._greeted.set()
                elif name == "data" and event == "notification":
                    self.titles.append(_title(value))
        self.ended = True


def _title(data: str) -> str:
    notification: Any = json.loads(data)
    return str(notification["title"])
