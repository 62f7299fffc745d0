"""The requests of the Python client, each with the reader of its answer."""

import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

import orjson

from shirase.client.protocol import Announcement, Counts, Notification, Page, Request, Scheduled, Updated
from shirase.fields import AddressedInput, KeyedInput, UserId

ROOT = "/api/notifications"
SCHEDULED = "/api/scheduled"
ANNOUNCEMENTS = "/api/announcements"
PREFERENCES = "/api/preferences"
TYPES = "/api/types"
WEBHOOKS = "/api/webhooks"

T = TypeVar("T")


def create(fields: AddressedInput, key: str | None) -> Request[Notification | None]:
    """Create one notification."""
    return _post("", _stored, fields, key or secrets.token_hex(16))


def create_batch(notifications: Iterable[AddressedInput], key: str | None) -> Request[list[Notification | None]]:
    """Create several, all or nothing."""
    return _post("/batch", _all_stored, {"notifications": list(notifications)}, key or secrets.token_hex(16))


def broadcast(user_ids: Iterable[UserId], fields: KeyedInput, key: str | None) -> Request[int]:
    """Create the same for many users."""
    body = {**fields, "user_ids": list(user_ids)}
    return _post("/broadcast", lambda answer: int(answer["created"]), body, key or secrets.token_hex(16))


def announce(topic: str, fields: KeyedInput, key: str | None, *, for_newcomers: bool) -> Request[Announcement]:
    """Announce something to everyone of a topic."""
    body = {**fields, "topic": topic, "for_newcomers": for_newcomers}
    headers = {"Content-Type": "application/json", "Idempotency-Key": key or secrets.token_hex(16)}
    return Request("POST", ANNOUNCEMENTS, Announcement.from_json, orjson.dumps(body), headers=headers)


def announcement(number: int) -> Request[Announcement]:
    """One announcement."""
    return Request("GET", f"{ANNOUNCEMENTS}/{number:d}", Announcement.from_json)


def delete_announcement(number: int) -> Request[None]:
    """Remove an announcement."""
    return Request("DELETE", f"{ANNOUNCEMENTS}/{number:d}", lambda _: None)


def change_members(topic: str, add: Iterable[UserId], remove: Iterable[UserId]) -> Request[tuple[int, int]]:
    """Change the members of a topic."""
    return Request(
        "POST",
        f"/api/topics/{quote(topic, safe='')}/members",
        lambda answer: (int(answer["added"]), int(answer["removed"])),
        orjson.dumps({"add": list(add), "remove": list(remove)}),
        headers={"Content-Type": "application/json"},
    )


def put_type(name: str, entry: Mapping[str, Any]) -> Request[None]:
    """Store an entry of the catalogue of types."""
    return _put(_of_type(name), entry)


def types() -> Request[list[dict[str, Any]]]:
    """The catalogue of types."""
    return Request("GET", TYPES, lambda answer: list(answer["types"]))


def delete_type(name: str) -> Request[None]:
    """Remove an entry of the catalogue of types."""
    return Request("DELETE", _of_type(name), lambda _: None)


def _of_type(name: str) -> str:
    return f"{TYPES}/{quote(name, safe='')}"


def preferences() -> Request[dict[str, Any]]:
    """The caller's preferences."""
    return Request("GET", PREFERENCES, dict)


def put_preferences(preferences: Mapping[str, Any]) -> Request[None]:
    """Replace the caller's preferences."""
    return _put(PREFERENCES, preferences)


def put_contact(user_id: UserId, contact: Mapping[str, Any]) -> Request[None]:
    """Set where a user's mail goes."""
    return _put(f"/api/users/{quote(str(user_id), safe='')}/contact", contact)


def _put(path: str, body: Mapping[str, Any]) -> Request[None]:
    headers = {"Content-Type": "application/json"}
    return Request("PUT", path, lambda _: None, orjson.dumps(body), headers=headers)


def page(limit: int, **filters: str | int | bool | None) -> Request[Page]:
    """One page of the list."""
    query = {"limit": str(limit)}
    for name, value in filters.items():
        if value is not None:
            query[name] = str(value).lower() if isinstance(value, bool) else str(value)
    return Request("GET", ROOT, _page, query=query)


def get(number: int) -> Request[Notification]:
    """One notification."""
    return Request("GET", f"{ROOT}/{number:d}", Notification.from_json)


def unread_count() -> Request[int]:
    """The unread count."""
    return Request("GET", f"{ROOT}/unread-count", lambda answer: int(answer["unread_count"]))


def delete(number: int) -> Request[None]:
    """Delete one."""
    return Request("DELETE", f"{ROOT}/{number:d}", lambda _: None)


def disconnect(user_id: UserId) -> Request[int]:
    """End a user's streams."""
    query = {"user_id": str(user_id)}
    return Request("DELETE", "/api/sse/connections", lambda answer: int(answer["closed"]), query=query)


def erase_user(user_id: UserId) -> Request[bool]:
    """Erase a user; the answer is whether that is complete."""
    return Request("DELETE", _of_user(user_id), lambda answer: answer is None)


def export_user(user_id: UserId) -> Request[None]:
    """Everything stored about a user, as lines."""
    return Request("GET", f"{_of_user(user_id)}/export", lambda _: None)


def put_webhook(name: str, url: str, types: Iterable[str], secret: str | None) -> Request[dict[str, Any]]:
    """Create or change a webhook."""
    body = {"url": url, "types": list(types)} | ({"secret": secret} if secret else {})
    headers = {"Content-Type": "application/json"}
    return Request("PUT", _of_webhook(name), dict, orjson.dumps(body), headers=headers)


def webhooks() -> Request[list[dict[str, Any]]]:
    """Every webhook."""
    return Request("GET", WEBHOOKS, lambda answer: list(answer["webhooks"]))


def delete_webhook(name: str) -> Request[None]:
    """Delete a webhook."""
    return Request("DELETE", _of_webhook(name), lambda _: None)


def retry_webhook(name: str, *, skip: bool) -> Request[dict[str, Any]]:
    """Try a webhook again."""
    return Request("POST", f"{_of_webhook(name)}/retry", dict, query={"skip": str(skip).lower()})


def _of_webhook(name: str) -> str:
    return f"{WEBHOOKS}/{quote(name, safe='')}"


def _of_user(user_id: UserId) -> str:
    return f"/api/users/{quote(str(user_id), safe='')}"


def trace(number: int) -> Request[dict[str, Any]]:
    """The history of a notification."""
    return Request("GET", f"{ROOT}/{number:d}/trace", dict)


def put(fields: AddressedInput, idempotency_key: str | None) -> Request[Notification | None]:
    """Create or replace the notification of a key."""
    key = fields.get("key")
    if not key:
        raise ValueError("put() takes a key")
    return Request(
        "PUT",
        f"{ROOT}/keys/{quote(key, safe='')}",
        _stored,
        orjson.dumps({name: value for name, value in fields.items() if name != "key"}),
        headers={"Content-Type": "application/json", "Idempotency-Key": idempotency_key or secrets.token_hex(16)},
    )


def retract(key: str, user_id: UserId | None) -> Request[None]:
    """Remove the notification of a key."""
    query = {} if user_id is None else {"user_id": str(user_id)}
    return Request("DELETE", f"{ROOT}/keys/{quote(key, safe='')}", lambda _: None, query=query)


def schedule(send_at: datetime, fields: AddressedInput, key: str | None) -> Request[Scheduled]:
    """Schedule one notification."""
    return _post("", _scheduled, {**fields, "send_at": send_at}, key or secrets.token_hex(16))


def scheduled(limit: int, after: int | None) -> Request[list[Scheduled]]:
    """The scheduled notifications that have not been sent."""
    query = {"limit": str(limit)} | ({"after": str(after)} if after else {})
    return Request("GET", SCHEDULED, lambda answer: list(map(_scheduled, answer["scheduled"])), query=query)


def cancel(scheduled_id: int) -> Request[None]:
    """Cancel a scheduled notification."""
    return Request("DELETE", f"{SCHEDULED}/{scheduled_id:d}", lambda _: None)


def change(what: str, ids: Iterable[int] | None = None) -> Request[Updated]:
    """Change the state of some, or of all."""
    if ids is None:
        return Request("POST", f"{ROOT}/{what}", _updated)
    return _post(f"/{what}", _updated, {"ids": list(ids)})


def seen() -> Request[None]:
    """Mark everything as seen."""
    return Request("POST", f"{ROOT}/seen", lambda _: None)


def counts() -> Request[Counts]:
    """The counts of unread and unseen."""
    return Request("GET", f"{ROOT}/counts", lambda answer: Counts(**answer))


def _post(path: str, read_answer: Callable[[Any], T], body: Mapping[str, Any], key: str | None = None) -> Request[T]:
    headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
    return Request("POST", ROOT + path, read_answer, orjson.dumps(body), headers=headers)


def _notifications(answer: Any) -> list[Notification]:
    return [Notification.from_json(notification) for notification in answer["notifications"]]


def _stored(answer: Any) -> Notification | None:
    return None if answer.get("muted") else Notification.from_json(answer)


def _all_stored(answer: Any) -> list[Notification | None]:
    return [_stored(notification) for notification in answer["notifications"]]


def _page(answer: Any) -> Page:
    return Page(_notifications(answer), answer["unread_count"], answer["next_before"], answer["cursor"])


def _updated(answer: Any) -> Updated:
    return Updated(answer["updated"], answer["unread_count"])


def _scheduled(answer: Any) -> Scheduled:
    return Scheduled(answer["scheduled_id"], datetime.fromisoformat(answer["send_at"]))
