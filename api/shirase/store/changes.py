"""Appending to logs what happened to stored notifications."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection

from shirase.store import log
from shirase.store.advance import advance, insert_events, new_tag
from shirase.types import READ, SEEN, Event, EventId, Notification


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to a user's notifications, not yet in the log."""

    user_id: str
    kind: str
    data: dict[str, Any] = field(default_factory=dict)  # without the counts, which are known once the log has advanced
    unread: int = 0  # by how much the counts change
    unseen: int = 0
    notification: Notification | None = None  # whose content the event carries


def with_count(change: Change) -> list[Change]:
    """The change, and a ``read`` of nothing if the unread count changes by an event of the second edition.

    Clients of the first edition ignore that event, and take the count from the ``read``.
    """
    return [change, Change(change.user_id, READ, {"ids": [], "read_at": None})] if change.unread else [change]


def append_changes(db: Connection, changes: Sequence[Change], now: datetime) -> list[Event]:
    """Append events, in order. Each carries the user's counts as of its own place in the log."""
    of_user: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        of_user[change.user_id].append(change)
    steps: list[dict[str, Any]] = [
        {
            "user_id": user_id,
            "events": len(own),
            "unread": sum(change.unread for change in own),
            "unseen": sum(change.unseen for change in own),
        }
        for user_id, own in of_user.items()
    ]
    tag = new_tag()
    ends = advance(db, steps, tag)
    hidden = log.hidden(db, list(of_user), now)
    appended: list[Event] = []
    for step in steps:
        user_id, end = step["user_id"], ends[step["user_id"]]
        unread, unseen = end.unread - step["unread"], end.unseen - step["unseen"]
        hidden_unread, hidden_unseen = hidden.get(user_id, (0, 0))
        previous = EventId(end.head - step["events"], end.previous_tag)
        for change in of_user[user_id]:
            unread, unseen = unread + change.unread, unseen + change.unseen
            counts = {"unread_count": unread - hidden_unread, "unseen_count": unseen - hidden_unseen}
            if change.kind == SEEN:
                del counts["unread_count"]
            own = EventId(previous.seq + 1, tag)
            data = orjson.dumps(change.data | counts).decode()
            event = Event(user_id, own, previous, change.kind, unread, now, data, change.notification, unseen)
            appended.append(event)
            previous = own
    insert_events(db, appended, now)
    return appended
