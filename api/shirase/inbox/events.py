"""What an entry of the log looks like outside: to a browser, to a long poll and to the proxy."""

from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from shirase.fields import Content, rfc3339, to_json
from shirase.inbox import cursors
from shirase.proxy import grip, sse
from shirase.proxy.publisher import Item, hint
from shirase.types import NOTIFICATION, UPDATED, Event, Notification

BURST = 50  # events of one user in one publish


def notification_fields(notification: Notification) -> orjson.Fragment:
    """The notification as JSON shows it, in REST and in events alike."""
    return orjson.Fragment(_notification(notification))


def _notification(one: Notification) -> bytes:
    own = orjson.dumps({"id": one.id, "user_id": one.user_id, "position": one.position})
    state = (one.created_at, one.read_at, one.archived_at, one.is_seen)
    return own[:-1] + b"," + _shared(one.content, state, one.updated_at, one.revision, one.count, one.actors)


@lru_cache(1)  # it is the same for all users of a broadcast
def _shared(
    content: Content,
    state: tuple[datetime, datetime | None, datetime | None, bool],
    updated_at: datetime | None,
    revision: int,
    count: int,
    actors: str | None,
) -> bytes:
    """All fields that are not the user's own, and the closing brace."""
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
    """The event as a browser gets it; ``None`` for one that has nothing left to say."""
    data = _data(event)
    if data is None:
        return None
    return sse.Event(event.kind, sse.unbroken(data), cursors.encode(database_name, event.user_id, event.id))


def to_poll(database_name: str, event: Event) -> dict[str, Any] | None:
    """The event as the long poll lists it."""
    data = _data(event)
    if data is None:
        return None
    cursor = cursors.encode(database_name, event.user_id, event.id)
    return {"id": cursor, "event": event.kind, "data": orjson.Fragment(data)}


def to_repair(database_name: str, user_ids: Sequence[str], latest: Sequence[Event]) -> list[Item]:
    """What to tell a node that missed something of these users.

    The hint has streams read again at once. One that is being opened or read at that very instant does not notice it;
    the latest event, whose id the proxy remembers, shows it that there is more.
    """
    hints = [hint(grip.user_channel(user_id)) for user_id in user_ids]
    return hints + [item for item, _ in to_items(database_name, latest)]


def to_items(database_name: str, events: Sequence[Event]) -> list[tuple[Item, list[Event]]]:
    """What to tell the proxy, each item with the events that it stands for.

    The proxy keeps 100 items for a connection that is still writing earlier ones, and drops the rest in silence. So a
    burst to one user is not sent: a hint has its streams read it from the log, and its last event alone follows, which
    shows a stream that read too early that there is more.
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
            shown = to_sse(database_name, event)
            # One that has nothing left to say keeps its id: a hint in its place would be lost on a stream that is just
            # being read, and nothing would show that stream what it lacks.
            content = sse.encode(shown) if shown else sse.NOTHING
            items.append((Item(channel, str(event.id), str(event.previous), content), [event]))
    return items


def _data(event: Event) -> str | None:
    """What the event carries; ``None`` if its notification is gone, or a later event updates it again."""
    if event.kind not in (NOTIFICATION, UPDATED):
        return event.data
    if event.notification is None:
        return None
    shown = _notification(event.notification)
    if event.kind == UPDATED:  # with the state and the counts as of this event
        shown = orjson.dumps(orjson.loads(shown) | orjson.loads(event.data or "{}"))
    return shown.decode()
