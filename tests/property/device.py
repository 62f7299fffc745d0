"""What a user's device shows: made of what it was sent alone, and of the list where it was told to fetch that."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.event_stream import Dispatched

FetchList = Callable[[], dict[int, bool]]


@dataclass
class Device:
    """A cursor, and what is shown at it."""

    cursor: str | None = None
    unread: dict[int, bool] = field(default_factory=dict)  # notification: whether it is unread
    badge: int = 0

    def copy(self) -> "Device":
        return Device(self.cursor, dict(self.unread), self.badge)

    def take(self, event: Dispatched, fetch: FetchList) -> None:
        """Do as a page does on an event."""
        if event.event == "connected":
            if self.cursor is None:
                self._begin_anew(fetch)
            self.badge = event.json()["unread_count"]
        elif event.event == "reset":
            self._begin_anew(fetch)
        else:
            self._change(event.event, event.json())
        self.cursor = event.id

    def _begin_anew(self, fetch: FetchList) -> None:
        self.unread = fetch()
        self.badge = sum(self.unread.values())

    def _change(self, kind: str, said: dict[str, Any]) -> None:
        if kind == "notification":
            assert said["id"] not in self.unread, "a notification came twice"
            self.unread[said["id"]] = not said["is_read"]
            self.badge += 1
            return
        ids = list(self.unread) if said["ids"] == "all" else said["ids"]
        for number in ids:
            if kind == "read" and number in self.unread:
                self.unread[number] = False
            elif kind == "deleted":
                self.unread.pop(number, None)
        self.badge = said["unread_count"]
