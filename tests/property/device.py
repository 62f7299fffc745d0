"""A model of a user's device: what it shows follows from received events, and from the list after a reset."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.support.event_stream import Dispatched

Shown = dict[int, tuple[int, bool, bool]]  # notification id: its revision, whether it is unread, whether archived
FetchList = Callable[[], tuple[Shown, int, int]]  # with the unread and the unseen count


@dataclass
class Device:
    """A cursor and what is shown at it; and the badge of a client of the first edition, which ignores new events."""

    cursor: str | None = None
    shown: Shown = field(default_factory=dict)
    badge: int = 0
    unseen: int = 0
    old_badge: int = 0

    def copy(self) -> "Device":
        return Device(self.cursor, dict(self.shown), self.badge, self.unseen, self.old_badge)

    def take(self, event: Dispatched, fetch: FetchList) -> None:
        """Process an event as a page does."""
        data = event.json()
        if event.event == "connected":
            if self.cursor is None:
                self._fetch_list(fetch)
            self.badge = self.old_badge = data["unread_count"]
            self.unseen = data["unseen_count"]
        elif event.event == "reset":
            self._fetch_list(fetch)
        else:
            self._change(event.event, data)
            self._count(event.event, data)
        self.cursor = event.id

    def _fetch_list(self, fetch: FetchList) -> None:
        self.shown, self.badge, self.unseen = fetch()
        self.old_badge = self.badge

    def _count(self, kind: str, data: dict[str, Any]) -> None:
        if kind == "notification":
            self.badge, self.unseen, self.old_badge = self.badge + 1, self.unseen + 1, self.old_badge + 1
            return
        self.badge = data.get("unread_count", self.badge)
        self.unseen = data["unseen_count"]
        if kind in ("read", "deleted"):
            self.old_badge = data["unread_count"]

    def _change(self, kind: str, data: dict[str, Any]) -> None:
        if kind in ("notification", "updated"):
            assert kind == "updated" or data["id"] not in self.shown, "a notification arrived twice"
            self.shown[data["id"]] = (data["revision"], not data["is_read"], data["archived_at"] is not None)
            return
        ids = list(self.shown) if data.get("ids") == "all" else data.get("ids", [])
        for number in ids:
            if kind == "deleted":
                self.shown.pop(number, None)
            elif number in self.shown:
                revision, is_unread, is_archived = self.shown[number]
                if kind in ("read", "unread"):
                    is_unread = kind == "unread"
                else:
                    is_archived = kind == "archived"
                self.shown[number] = (revision, is_unread, is_archived)
