"""Web Push: a user's browsers, and the messages for them."""

import binascii
import hashlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import orjson
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from webpush import WebPush
from webpush.types import WebPushKeys, WebPushSubscription

from shirase.errors import FieldError, Invalid, NotFound
from shirase.fields import to_json
from shirase.inbox.drafts import Request
from shirase.outbound import check_url
from shirase.settings import Settings
from shirase.store import push
from shirase.store.database import Database
from shirase.store.push import Subscription
from shirase.types import Notification
from shirase.vapid import PushKey

MOST = 20  # browsers of one user
KEPT = 7 * 86_400  # seconds that a push service keeps a message for a browser that is not connected
LONGEST_TEXT = 1000  # characters of the message; a payload has at most about 4,000 bytes (RFC 8030)
LARGEST = 3900  # bytes of a payload before its encryption
AUTH_SIZE = 16  # bytes


class PushKeys(BaseModel):
    """The keys of a browser (RFC 8291)."""

    model_config = ConfigDict(extra="forbid")

    p256dh: Annotated[str, Field(max_length=100)]
    auth: Annotated[str, Field(max_length=40)]


class SubscriptionInput(Request):
    """What ``PushSubscription.toJSON()`` returns in a browser."""

    longest = 16 * 1024

    endpoint: Annotated[str, Field(min_length=1, max_length=2000)]
    keys: PushKeys
    expirationTime: float | None = None  # noqa: N815 - as browsers send it


class EndpointInput(Request):
    """The subscription to end."""

    longest = 16 * 1024

    endpoint: Annotated[str, Field(min_length=1, max_length=2000)]


def public_key(settings: Settings) -> str:
    """The service's key, which browsers subscribe with.

    Raises:
        NotFound: if Web Push is not configured.
    """
    return _configured(settings).public


def subscribe(settings: Settings, database: Database, user_id: str, body: SubscriptionInput, user_agent: str) -> None:
    """Send a user's push messages to a browser too.

    Raises:
        NotFound: if Web Push is not configured.
        Invalid: if the address or a key cannot be used.
    """
    _configured(settings)
    try:
        check_url(body.endpoint, settings.outbound_private_hosts)
    except ValueError as exc:
        raise Invalid(FieldError("endpoint", str(exc))) from exc
    _check_keys(body.keys)
    _check_readable(body)
    target = Subscription(_id(body.endpoint), body.endpoint, body.keys.p256dh, body.keys.auth)
    agent = "".join(character for character in user_agent if character.isprintable())[:200]
    with database.transaction() as db:
        push.put(db, user_id, target, agent, datetime.now(UTC), MOST)


def unsubscribe(database: Database, user_id: str, endpoint: str) -> None:
    """Send no more to this browser, unless it is another user's."""
    with database.transaction() as db:
        push.remove(db, _id(endpoint), user_id)


def message(notification: Notification) -> bytes:
    """The content for the service worker: the text, the address of a click, and the tag that groups."""
    content = to_json(notification.content)
    text = str(content["message"])[:LONGEST_TEXT]
    fields = {
        "id": notification.id,
        "title": content["title"],
        "body": text,
        "url": content["url"],
        "icon": content["icon"],
        "tag": content["key"] or f"shirase-{notification.id}",
        "type": content["type"],
        "count": notification.count,
    }
    made = orjson.dumps(fields)
    while len(made) > LARGEST:  # characters may take several bytes, and addresses are long
        fields |= {"body": text} if len(text) > 1 else {"body": "", "icon": None}
        text = text[: len(text) // 2]
        made = orjson.dumps(fields)
    return made


def encrypt(key: PushKey, target: Subscription, notification: Notification) -> tuple[bytes, Mapping[str, str]]:
    """The request to a push service: the body, encrypted for the browser alone, and the headers."""
    private, public = key.pems()
    keys = WebPushKeys(p256dh=target.p256dh, auth=target.auth)
    subscription = WebPushSubscription(endpoint=target.endpoint, keys=keys)
    made = WebPush(private, public, key.contact, ttl=KEPT).get(message(notification), subscription)
    headers = {name: str(value) for name, value in made.headers.items()}
    topic = hashlib.sha256(str(notification.content.key or notification.id).encode()).digest()
    urgency = to_json(notification.content)["priority"]
    return made.encrypted, {
        **headers,
        "content-type": "application/octet-stream",
        "urgency": str(urgency),
        "topic": urlsafe_b64encode(topic)[:32].decode(),  # replaces a waiting message with the same key
        "user-agent": "Shirase",
    }


def _configured(settings: Settings) -> PushKey:
    if settings.push_key is None:
        raise NotFound("Web Push is not configured here")
    return settings.push_key


def _id(endpoint: str) -> str:
    return hashlib.sha256(endpoint.encode("utf-8", "surrogatepass")).hexdigest()


def _check_keys(keys: PushKeys) -> None:
    try:
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), _decode(keys.p256dh))
    except ValueError as exc:
        raise Invalid(FieldError("keys.p256dh", "must be a point on P-256 in base64url")) from exc
    try:
        size = len(_decode(keys.auth))
    except ValueError:
        size = 0
    if size != AUTH_SIZE:
        raise Invalid(FieldError("keys.auth", f"must be {AUTH_SIZE} bytes in base64url"))


def _check_readable(body: SubscriptionInput) -> None:
    """Check that a message can be made: what encrypts it reads addresses by stricter rules."""
    try:
        WebPushSubscription.model_validate({"endpoint": body.endpoint, "keys": body.keys.model_dump()})
    except ValidationError as exc:
        raise Invalid(FieldError("endpoint", "must be an https:// address")) from exc


def _decode(text: str) -> bytes:
    try:
        return urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as exc:
        raise ValueError("is not base64url") from exc
