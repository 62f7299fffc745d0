"""Each declared field of a notification is stored, listed and streamed as sent; a wrong value is named."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from shirase.access.tokens import WRITE
from shirase.client.protocol import Notification
from shirase.fields import FIELDS
from shirase.inbox import events
from shirase.store import log
from shirase.store.database import Database
from shirase.store.tables import NotificationRow

REQUIRED = {"type": "a.b", "title": "T", "message": "M"}
OPTIONAL: dict[str, Any] = {
    "payload": {"x": [1, {"y": "知"}]},
    "expires_at": "2100-01-01T00:00:00.000000Z",
    "url": "/orders/7?from=mail#top",
    "icon": "https://cdn.example.com/é.png",
    "actor": {"name": "Ann", "image": "/ann.png"},
    "actions": [{"label": "Open", "url": "/orders/7", "primary": True}, {"label": "Later", "url": "/later"}],
    "category": "orders",
    "priority": "high",
    "key": "order/7?",
}
ADDRESSES = [
    "",
    "orders/7",
    "//evil.example.com",
    "/\\\\evil.example.com",
    "/\t/evil.example.com",
    "\\\\evil.example.com",
    "javascript:alert(1)",
    "JavaScript://x/%0aalert(1)",
    "data:text/html,x",
    "http:evil.example.com",
    "https:///evil.example.com",
    "https://",
    " /x",
    "/x\n",
    "/a b",
    "/" + "x" * 2000,
    7,
    {},
]


def create(client: FlaskClient, token: Callable[..., str], **fields: Any) -> Any:
    headers = {"Authorization": f"Bearer {token('svc', WRITE)}"}
    return client.post("/api/notifications", json={**REQUIRED, "user_id": "42", **fields}, headers=headers)


def test_every_optional_field_has_an_example_here() -> None:
    assert {*REQUIRED, *OPTIONAL} == set(FIELDS)


@pytest.mark.parametrize("name", sorted(OPTIONAL))
def test_a_field_comes_back_as_it_was_sent(
    app: Flask, client: FlaskClient, token: Callable[..., str], database: Database, name: str
) -> None:
    value = OPTIONAL[name]
    made = create(client, token, **{name: value})
    assert (made.status_code, made.json[name]) == (201, value)
    listed: Any = client.get("/api/notifications", headers={"Authorization": f"Bearer {token('42')}"}).json
    assert listed["notifications"][0] == made.json
    with database.autocommit() as db:
        event = log.read_events(db, "42", 1, 1, 1, datetime.now(UTC))[0]
    shown = events.to_sse("db", event)
    assert shown
    assert json.loads(shown.data)[name] == value
    assert name in NotificationRow.__table__.c
    assert getattr(Notification.from_json(made.json), name) is not None
    assert name in app.extensions["contract"].document["components"]["schemas"]["NewNotification"]["properties"]
    without = create(client, token)
    assert without.json[name] == FIELDS[name].default


@pytest.mark.parametrize("name", ["url", "icon"])
@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_that_may_leave_the_site_is_refused(
    client: FlaskClient, token: Callable[..., str], name: str, address: Any
) -> None:
    answer = create(client, token, **{name: address})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json["errors"]] == [name]


@pytest.mark.parametrize(
    "address", ["/", "/x", "/x//y", "HTTPS://EXAMPLE.COM", "http://[::1]:80/", "https://é.example"]
)
def test_paths_and_web_addresses_are_accepted(client: FlaskClient, token: Callable[..., str], address: str) -> None:
    assert create(client, token, url=address).json["url"] == address
