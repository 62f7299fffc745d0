"""A model of a user's device: what it shows follows from received events, and from the list after a reset."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.event_stream import Dispatched

FetchList = Callable[[], dict[int, bool]]


@dataclass
class Device:
    """A cursor and what is shown at it."""

    cursor: str | None = None
    unread: dict[int, bool] = field(default_factory=dict)  # notification id: whether it is unread
    badge: int = 0

    def copy(self) -> "Device":
        return Device(self.cursor, dict(self.unread), self.badge)

    def take(self, event: Dispatched, fetch: FetchList) -> None:
        """Process an event as a page does."""
        if event.event == "connected":
            if self.cursor is None:
                self._fetch_list(fetch)
            self.badge = event.json()["unread_count"]
        elif event.event == "reset":
            self._fetch_list(fetch)
        else:
            self._change(event.event, event.json())
        self.cursor = event.id

    def _fetch_list(self, fetch: FetchList) -> None:
        self.unread = fetch()
        self.badge = sum(self.unread.values())

    def _change(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "notification":
            assert data["id"] not in self.unread, "a notification arrived twice"
            self.unread[data["id"]] = not data["is_read"]
            self.badge += 1
            return
        ids = list(self.unread) if data["ids"] == "all" else data["ids"]
        for number in ids:
            if kind == "read" and number in self.unread:
                self.unread[number] = False
            elif kind == "deleted":
                self.unread.pop(number, None)
        self.badge = data["unread_count"]
