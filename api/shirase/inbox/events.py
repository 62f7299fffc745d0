"""Encodes events of the log: as SSE, for the long poll, and as items for the proxy."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from shirase.fields import Content, rfc3339, to_json
from shirase.inbox import cursors
from shirase.proxy import grip, sse
from shirase.proxy.publisher import Item, hint
from shirase.types import NOTIFICATION, UPDATED, Event, Notification, Stored

MUTED = orjson.Fragment(b'{"muted":true}')
BURST = 50  # events of one user in one publish


def notification_fields(notification: Notification) -> orjson.Fragment:
    """The notification as JSON, the same in REST and in events."""
    return orjson.Fragment(_notification(notification))


def stored_fields(stored: Stored) -> orjson.Fragment:
    """A create's answer: the notification, or that its user has muted it."""
    return notification_fields(stored.notification) if stored.notification else MUTED


def _notification(notification: Notification) -> bytes:
    own = orjson.dumps({"id": notification.id, "user_id": notification.user_id, "position": notification.position})
    state = (notification.created_at, notification.read_at, notification.archived_at, notification.is_seen)
    return (
        own[:-1]
        + b","
        + _shared(
            notification.content,
            state,
            notification.updated_at,
            notification.revision,
            notification.count,
            notification.actors,
        )
    )


@lru_cache(1)  # all users of a broadcast share it
def _shared(
    content: Content,
    state: tuple[datetime, datetime | None, datetime | None, bool],
    updated_at: datetime | None,
    revision: int,
    count: int,
    actors: str | None,
) -> bytes:
    """The fields that do not depend on the user, and the closing brace."""
    created_at, read_at, archived_at, is_seen = state
    actor = content.columns.get("actor")
    fields = {
        **to_json(content),
        "revision": revision,
        "count": count,
        "actors": orjson.Fragment(actors or (f"[{actor}]" if actor else "[]")),
        "is_read": read_at is not None,
        "is_seen": is_seen,
        "read_at": rfc3339(read_at) if read_at else None,
        "archived_at": rfc3339(archived_at) if archived_at else None,
        "created_at": rfc3339(created_at),
        "updated_at": rfc3339(updated_at or created_at),
    }
    return orjson.dumps(fields)[1:]


def to_sse(database_name: str, event: Event) -> sse.Event | None:
    """Encode as SSE; ``None`` if the event has no data any more."""
    data = _data(event)
    if data is None:
        return None
    return sse.Event(event.kind, sse.unbroken(data), cursors.encode(database_name, event.user_id, event.id))


def to_poll(database_name: str, event: Event) -> dict[str, Any] | None:
    """Encode for the long poll; ``None`` if the event has no data any more."""
    data = _data(event)
    if data is None:
        return None
    cursor = cursors.encode(database_name, event.user_id, event.id)
    return {"id": cursor, "event": event.kind, "data": orjson.Fragment(data)}


def to_repair(database_name: str, user_ids: Sequence[str], latest: Sequence[Event]) -> list[Item]:
    """The items for a node that missed events of these users.

    A hint has their streams recover at once. A stream that is opening or recovering just then ignores it; the latest
    event, whose id the proxy keeps, reveals to it that events are missing.
    """
    hints = [hint(grip.user_channel(user_id)) for user_id in user_ids]
    return hints + [item for item, _ in to_items(database_name, latest)]


def to_items(database_name: str, events: Sequence[Event]) -> list[tuple[Item, list[Event]]]:
    """The items for the proxy, each with the events that it covers.

    The proxy queues 100 items for a connection that is still writing, and silently drops the rest. So a burst to one
    user is not sent item by item: a hint has the streams read it from the log. Its last event follows, which reveals
    missing events to a stream that read too early.
    """
    of_user: dict[str, list[Event]] = {}
    for event in events:
        of_user.setdefault(event.user_id, []).append(event)
    items: list[tuple[Item, list[Event]]] = []
    for user_id, own in of_user.items():
        channel = grip.user_channel(user_id)
        if len(own) > BURST:
            items.append((hint(channel), own[:-1]))
        for event in own[-1:] if len(own) > BURST else own:
            encoded = to_sse(database_name, event)
            # An event without data is sent as a comment with its id. A stream that is just recovering would ignore a
            # hint instead, and would not learn that an event is missing.
            content = sse.encode(encoded) if encoded else sse.NOTHING
            items.append((Item(channel, str(event.id), str(event.previous), content), [event]))
    return items


def _data(event: Event) -> str | None:
    """The event's data; ``None`` if its notification was removed, or a later event replaces it again."""
    if event.kind not in (NOTIFICATION, UPDATED):
        return event.data
    if event.notification is None:
        return None
    encoded = _notification(event.notification)
    if event.kind == UPDATED:  # its state and counts are those of this event
        encoded = orjson.dumps(orjson.loads(encoded) | orjson.loads(event.data or "{}"))
    return encoded.decode()
