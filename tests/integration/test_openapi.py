"""Every operation of the OpenAPI document is answered as documented; the fixture ``app`` checks all REST tests."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jwt
import pytest
from flask.testing import FlaskClient

from shirase import vapid
from shirase.access.tokens import ADMIN, WRITE
from shirase.inbox import unsubscribe, users
from shirase.settings import Settings
from shirase.vapid import PushKey
from tests.support.contract import Contract
from tests.support.control_port import control_port

NEW = {"user_id": "42", "type": "a.b", "title": "T", "message": "M", "payload": {"x": 1}}
CONTENT = {name: value for name, value in NEW.items() if name != "user_id"}


@pytest.fixture
def settings(settings: Settings) -> Iterator[Settings]:
    with control_port() as running:
        yield replace(settings, grip_url=(running.url,), push_key=PushKey(vapid.generate(), "ops@example.com"))


def of_users(ask: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    ask("DELETE", "/api/users/42")
    monkeypatch.setattr(users, "LONGEST", -1)
    ask("DELETE", "/api/users/42")


def of_webhooks(ask: Callable[..., Any]) -> None:
    for _ in range(2):
        ask("PUT", "/api/webhooks/a", {"url": "https://example.com/", "types": []})
    ask("GET", "/api/webhooks")
    ask("POST", "/api/webhooks/a/retry")
    ask("DELETE", "/api/webhooks/a")


def of_push(ask: Callable[..., Any]) -> None:
    ask("GET", "/api/push/key")
    point = PushKey(vapid.generate(), "").public  # any point on the curve
    keys = {"p256dh": point, "auth": "AAAAAAAAAAAAAAAAAAAAAA"}
    ask("PUT", "/api/push/subscriptions", {"endpoint": "https://example.com/x", "keys": keys})
    ask("DELETE", "/api/push/subscriptions", {"endpoint": "https://example.com/x"})


def of_reach(ask: Callable[..., Any], settings: Settings) -> None:
    entry = {"label": "A", "channels": [{"channel": "email", "after": "10m"}]}
    ask("PUT", "/api/types/a.b", entry)
    ask("GET", "/api/types")
    ask("DELETE", "/api/types/a.b")
    rules = [{"scope": "muted", "channel": "inbox", "enabled": False}]
    ask(
        "PUT", "/api/preferences", {"rules": rules, "quiet": {"from": "22:00", "to": "07:00", "timezone": "Asia/Tokyo"}}
    )
    ask("GET", "/api/preferences")
    ask("PUT", "/api/users/42/contact", {"email": "aiko@example.com"})
    path = unsubscribe.address(settings, "", "42", "a.b")
    for method in ("GET", "POST"):
        ask(method, path)


def test_every_success_that_is_promised_is_answered_as_described(
    client: FlaskClient,
    contract: Contract,
    settings: Settings,
    token: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signed = jwt.encode({"iss": "pushpin", "exp": int(time.time()) + 60}, settings.pushpin_sig_key, algorithm="HS256")
    headers = {"Authorization": f"Bearer {token('42', f'{WRITE} {ADMIN}')}", "Grip-Sig": signed}

    def ask(method: str, path: str, body: Any = None, **more: str) -> Any:
        return client.open(path, method=method, json=body, headers=headers | more).get_json(silent=True)

    for _ in range(2):
        made = ask("POST", "/api/notifications", NEW, **{"Idempotency-Key": "one"})
        ask("POST", "/api/notifications/batch", {"notifications": [NEW]}, **{"Idempotency-Key": "two"})
        ask("POST", "/api/notifications/broadcast", {**CONTENT, "user_ids": ["42"]}, **{"Idempotency-Key": "three"})
    path = f"/api/notifications/{made['id']}"
    ask("GET", "/api/notifications/poll?after=x")
    ask("GET", "/api/notifications/poll")
    ask("GET", "/api/sse/notifications")
    ask("POST", "/api/sse/tickets")
    ask("GET", "/api/sse/status")
    ask("DELETE", "/api/sse/connections?user_id=42")
    ask("GET", "/api/notifications?limit=1")
    ask("GET", path)
    ask("POST", "/api/notifications/read", {"ids": [made["id"]]})
    ask("GET", path)
    ask("GET", f"{path}/trace")
    ask("DELETE", path)
    keyed, later = "/api/notifications/keys/a%2Fb", {"send_at": "2100-01-01T00:00:00Z"}
    ask("PUT", keyed, NEW)
    ask("PUT", keyed, {**NEW, "fold": True, "actor": {"name": "Ann"}})
    created = ask("PUT", keyed, {**NEW, **later})["scheduled_id"]
    ask("POST", "/api/notifications", {**NEW, **later})
    ask("GET", "/api/scheduled")
    ask("DELETE", f"/api/scheduled/{created}")
    for change in ("unread", "archive", "unarchive"):
        ask("POST", f"/api/notifications/{change}", {"ids": [1]})
    ask("POST", "/api/notifications/archive-all")
    ask("POST", "/api/notifications/seen")
    ask("GET", "/api/notifications/counts")
    ask("DELETE", keyed)
    ask("POST", "/api/notifications/read-all")
    ask("GET", "/api/notifications/unread-count")
    announcement = {"topic": "everyone", **CONTENT}
    for _ in range(2):
        created = ask("POST", "/api/announcements", announcement, **{"Idempotency-Key": "four"})
    ask("POST", "/api/announcements", {**announcement, **later})
    ask("GET", "/api/announcements")
    ask("GET", f"/api/announcements/{created['id']}")
    ask("DELETE", f"/api/announcements/{created['id']}")
    ask("POST", "/api/topics/a/members", {"add": ["42"]})
    ask("GET", "/api/topics/a/members")
    ask("DELETE", "/api/topics/a")
    of_reach(ask, settings)
    of_webhooks(ask)
    of_push(ask)
    client.get("/api/users/42/export", headers=headers)
    of_users(ask, monkeypatch)
    ask("GET", "/api/openapi.json")
    for path in ("/healthz", "/readyz", "/metrics"):
        client.get(path)

    assert contract.successes - contract.seen == set()


def test_what_the_contract_would_not_allow_is_noticed(client: FlaskClient, contract: Contract) -> None:
    """The check itself rejects an answer that violates its schema."""
    schemas = contract.document["components"]["schemas"]
    schemas["Problem"]["properties"]["status"] = {"type": "string"}
    client.get("/api/notifications")
    assert [line.partition(":")[0] for line in contract.broken] == ["GET /api/notifications 401"]
    contract.broken.clear()
