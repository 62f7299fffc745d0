"""Webhooks: endpoints that get each notification, signed as Standard Webhooks have it (standardwebhooks.com)."""

import base64
import binascii
import secrets
from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

import orjson
from standardwebhooks.webhooks import Webhook as Signer

from shirase.errors import FieldError, Invalid, NotFound
from shirase.fields import rfc3339
from shirase.inbox.events import notification_fields
from shirase.outbound import check_url
from shirase.store import webhooks
from shirase.store.database import Database
from shirase.store.webhooks import Queued, Webhook
from shirase.types import UPDATED, Notification

ROTATION = timedelta(days=1)  # for which a replaced secret signs too
SECRET_BYTES = (24, 64)  # of a secret, by the specification
PREFIX = "whsec_"
BATCH = 1000  # rows of a deleted endpoint's queue removed at a time


def put(
    database: Database, private_hosts: Collection[str], name: str, url: str, types: Sequence[str], secret: str | None
) -> tuple[Webhook, bool]:
    """Create an endpoint, or change it; return whether it is new.

    Without a secret, a new endpoint gets a random one, and another keeps its own. An endpoint that was paused is tried
    again.

    Raises:
        Invalid: if the address or the secret cannot be used.
    """
    try:
        check_url(url, private_hosts)
    except ValueError as exc:
        raise Invalid(FieldError("url", str(exc))) from exc
    if secret is not None:
        _check_secret(secret)
    now = datetime.now(UTC)
    with database.transaction() as db:
        if secret is None and webhooks.find(db, name, now) is None:
            secret = PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES[0])).decode()
        is_new = webhooks.put(db, name, url, types, secret, now, ROTATION)
        made = webhooks.find(db, name, now)
    if made is None:
        raise NotFound("there is no such webhook")
    return made, is_new


def page(database: Database) -> list[Webhook]:
    """Every endpoint."""
    with database.autocommit() as db:
        return webhooks.page(db, datetime.now(UTC))


def find(database: Database, name: str) -> Webhook:
    """One endpoint.

    Raises:
        NotFound: if there is none of this name.
    """
    with database.autocommit() as db:
        result = webhooks.find(db, name, datetime.now(UTC))
    if result is None:
        raise NotFound("there is no such webhook")
    return result


def delete(database: Database, name: str) -> None:
    """Delete an endpoint and its queue.

    Raises:
        NotFound: if there is none of this name.
    """
    with database.transaction() as db:
        number = webhooks.delete_named(db, name)
    if number is None:
        raise NotFound("there is no such webhook")
    removed = BATCH
    while removed:
        with database.transaction() as db:
            removed = webhooks.remove_queue(db, number, BATCH)


def retry(database: Database, name: str, *, skip: bool) -> Webhook:
    """Try an endpoint again now, even if it is paused; with ``skip``, drop the event that failed.

    Raises:
        NotFound: if there is none of this name.
        Invalid: if an event is to be dropped, and none has failed. Nothing changes then.
    """
    with database.transaction() as db:
        is_dropped = skip and webhooks.drop_failed(db, name)
        if not webhooks.retry(db, name, datetime.now(UTC)):
            raise NotFound("there is no such webhook")
        if skip and not is_dropped:
            raise Invalid(FieldError("skip", "no event has failed since the webhook was last changed or retried"))
    return find(database, name)


def subscribed(webhook: Webhook, queued: Queued) -> Notification | None:
    """The notification to send to an endpoint for an event.

    ``None`` if it is gone, its type is not subscribed, or its user's preferences do not allow it.
    """
    notification = queued.notification
    if notification is None or not queued.is_allowed:
        return None
    if webhook.types and notification.content.type not in webhook.types:
        return None
    return notification


def message(
    webhook: Webhook, queued: Queued, notification: Notification, now: datetime
) -> tuple[bytes, dict[str, str]]:
    """The body and the headers of a request; during a rotation both secrets sign."""
    what = "updated" if queued.kind == UPDATED else "created"
    fields = {
        "type": f"notification.{what}",
        "timestamp": rfc3339(queued.happened_at),
        "data": notification_fields(notification),
    }
    body = orjson.dumps(fields)
    number = webhooks.event_id(queued.id, queued.tag)
    signatures = [Signer(secret).sign(number, now, body.decode()) for secret in webhook.secrets]
    return body, {
        "Content-Type": "application/json",
        "User-Agent": "Shirase",
        "webhook-id": number,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _check_secret(secret: str) -> None:
    least, most = SECRET_BYTES
    try:
        size = len(base64.b64decode(secret.removeprefix(PREFIX), validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if not secret.startswith(PREFIX) or not least <= size <= most:
        message = f"must be {PREFIX} and {least} to {most} random bytes in base64"
        raise Invalid(FieldError("secret", message))
