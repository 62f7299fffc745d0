"""The validated content of a notification."""

from datetime import datetime

from shirase.fields import Content
from shirase.types import Notification, Stored


def content(
    kind: str = "a.b",
    title: str = "T",
    message: str = "M",
    payload: str = "{}",
    expires_at: datetime | None = None,
    **others: object,
) -> Content:
    named = {"type": kind, "title": title, "message": message, "payload": payload, "expires_at": expires_at}
    return Content({**named, **others})


def made(stored: Stored) -> Notification:
    """The notification of a draft that its user has not muted."""
    assert stored.notification
    return stored.notification
