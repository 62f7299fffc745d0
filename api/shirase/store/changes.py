"""Appending changes of stored notifications to logs."""

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
    """A change of a user's notifications that is not in the log yet."""

    user_id: str
    kind: str
    data: dict[str, Any] = field(default_factory=dict)  # without the counts, which are known after ``advance``
    unread: int = 0  # the differences of the counts
    unseen: int = 0
    notification: Notification | None = None  # the event carries its content


def with_count(change: Change) -> list[Change]:
    """The change, followed by a ``read`` event without ids if the unread count changes.

    Clients that do not know the event's kind take the count from the ``read``.
    """
    return [change, Change(change.user_id, READ, {"ids": [], "read_at": None})] if change.unread else [change]


def append_changes(db: Connection, changes: Sequence[Change], now: datetime) -> list[Event]:
    """Append events, in order. Each carries the user's counts as of its ``seq``."""
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
