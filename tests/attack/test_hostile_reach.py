"""Hostile input at webhooks, push subscriptions, unsubscribing, types, preferences, contacts, export and erasure."""

from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from shirase.access import tokens
from shirase.access.tokens import ADMIN, WRITE
from shirase.inbox import unsubscribe
from shirase.settings import Settings
from shirase.store.database import Database
from tests.attack.conftest import Headers, check
from tests.attack.hostile import TEXTS
from tests.support.push_browser import Browser

KNOWN = (200, 201, 202, 204, 308, 400, 404, 405, 422)  # 308 and 405 where the path is another one
INSIDE = (
    "https://127.0.0.1/",
    "https://[::ffff:10.0.0.1]/",
    "https://[64:ff9b::a9fe:a9fe]/",
    "https://0x7f.1/",
    "https://2852039166/",
    "https://localhost/",
    "https://metadata.internal/",
    "http://example.com/",
    "gopher://example.com/",
    "https://user:secret@example.com/",
)
Put = Callable[..., TestResponse]


@pytest.fixture
def put(client: FlaskClient, headers: Headers) -> Put:
    def send(path: str, body: Any, user: str = "operator", scope: str = f"{ADMIN} {WRITE}") -> TestResponse:
        return check(client.put(path, json=body, headers=headers(user, scope)))

    return send


@pytest.fixture
def database(app: Flask) -> Database:
    opened: Database = app.extensions["shirase"].database
    return opened


def count(database: Database, table: str) -> int:
    with database.autocommit() as db:
        return db.scalar(text(f"SELECT count(*) FROM shirase_{table}")) or 0  # noqa: S608 - our own names


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/api/webhooks/a", {"url": "https://example.com/", "types": []}, "url"),
        ("/api/webhooks/a", {"url": "https://example.com/", "types": []}, "secret"),
        ("/api/webhooks/a", {"url": "https://example.com/", "types": []}, "types"),
        ("/api/types/a.b", {"label": "A", "description": ""}, "label"),
        ("/api/types/a.b", {"label": "A", "description": ""}, "category"),
        ("/api/types/a.b", {"label": "A", "description": ""}, "channels"),
        ("/api/users/42/contact", {"email": "a@example.org"}, "email"),
        ("/api/users/42/contact", {"email": "a@example.org"}, "locale"),
        ("/api/users/42/contact", {"email": "a@example.org"}, "timezone"),
    ],
)
def test_hostile_fields_of_operators_are_stored_or_refused(
    put: Put, path: str, body: dict[str, Any], field: str
) -> None:
    for sent in TEXTS:
        for value in (sent, [sent], {"scope": sent}):
            answer = put(path, {**body, field: value})
            assert answer.status_code in (200, 201, 400, 422), value
            assert "Traceback" not in answer.text


@pytest.mark.parametrize("path", ["/api/webhooks/{}", "/api/types/{}", "/api/users/{}/contact", "/api/users/{}/export"])
def test_hostile_names_in_paths_reach_nothing(client: FlaskClient, headers: Headers, path: str) -> None:
    for sent in TEXTS:
        name = quote(sent.encode(errors="replace"), safe="")
        for method in ("GET", "PUT", "DELETE", "POST"):
            answer = client.open(path.format(name), method=method, json={}, headers=headers("op", f"{ADMIN} {WRITE}"))
            assert answer.status_code in KNOWN, (method, sent)


@pytest.mark.parametrize("url", INSIDE)
def test_no_request_leads_into_the_private_network(put: Put, database: Database, url: str) -> None:
    answer = put("/api/webhooks/a", {"url": url, "types": []})
    refused = put("/api/push/subscriptions", Browser.new(url).subscription, "42", "")
    for refusal, field in ((answer, "url"), (refused, "endpoint")):
        assert (refusal.status_code, refusal.json["errors"][0]["field"]) == (422, field)  # type: ignore[index]
    assert count(database, "webhooks") == count(database, "push_subscriptions") == 0


def test_hostile_subscriptions_are_refused_or_ones_own(
    put: Put, client: FlaskClient, headers: Headers, database: Database
) -> None:
    good = Browser.new("https://push.example.com/of-42").subscription
    assert put("/api/push/subscriptions", good, "42", "").status_code == 204
    for sent in TEXTS:
        for body in (
            {**good, "endpoint": sent},
            {**good, "keys": {**good["keys"], "p256dh": sent}},
            {**good, "keys": {**good["keys"], "auth": sent}},
        ):
            assert put("/api/push/subscriptions", body, "7", "").status_code in (400, 422), sent
        answer = client.delete("/api/push/subscriptions", json={"endpoint": sent}, headers=headers("7"))
        assert check(answer).status_code in (204, 400, 422)
    answer = client.delete("/api/push/subscriptions", json={"endpoint": good["endpoint"]}, headers=headers("7"))
    assert (answer.status_code, count(database, "push_subscriptions")) == (204, 1)  # another's is not touched


def test_hostile_links_unsubscribe_nobody(
    client: FlaskClient, headers: Headers, unlimited: Settings, database: Database
) -> None:
    """Neither text, nor a token, nor a seal of another purpose; and opening a good link changes nothing."""
    bearer = headers("42", ADMIN)["Authorization"].removeprefix("Bearer ")
    other = tokens.seal(unlimited, "ticket", {"user": "42", "scope": "*"})
    for sent in (*TEXTS, bearer, other):
        path = f"{unsubscribe.PATH}/{quote(sent.encode(errors='replace'), safe='')}"
        for method in ("GET", "POST"):
            assert check(client.open(path, method=method)).status_code in (404, 405), sent
    assert client.get("/api/notifications/counts", headers=headers("42")).status_code == 200  # begins the log
    good = unsubscribe.address(unlimited, "", "42", "*")
    for changed in (good[:-2], good + "A", good.swapcase()):
        assert check(client.post(changed)).status_code == 404
    assert client.get(good).status_code == 200
    assert count(database, "preferences") == 0
    assert client.post(good).status_code == 200
    assert count(database, "preferences") == 1


@pytest.mark.parametrize("field", ["scope", "channel", "until", "enabled"])
def test_hostile_preferences_are_stored_as_they_are_or_refused(put: Put, field: str) -> None:
    good = {"scope": "a.b", "channel": "email", "enabled": False}
    for sent in TEXTS:
        answer = put("/api/preferences", {"rules": [{**good, field: sent}]}, "42", "")
        assert answer.status_code in (200, 400, 422), sent
        if answer.status_code == 200:
            rules: Any = answer.json
            assert field == "until" or rules["rules"][0][field] == sent
        for quiet in (
            {"from": sent, "to": "07:00", "timezone": "UTC"},
            {"from": "22:00", "to": "07:00", "timezone": sent},
        ):
            assert put("/api/preferences", {"rules": [], "quiet": quiet}, "42", "").status_code in (400, 422), sent


def test_an_erasure_and_an_export_concern_one_user(client: FlaskClient, headers: Headers, database: Database) -> None:
    """Whatever the id spells: the other users' rows stay, and none of them is exported."""
    admin = headers("op", f"{ADMIN} {WRITE}")
    note = {"user_id": "42", "type": "a.b", "title": "of-42-alone", "message": ""}
    assert client.post("/api/notifications", json=note, headers=admin).status_code == 201
    for sent in TEXTS:
        if sent == "42":
            continue
        path = f"/api/users/{quote(sent.encode(errors='replace'), safe='')}"
        exported = client.get(f"{path}/export", headers=admin)
        assert exported.status_code in KNOWN
        assert "of-42-alone" not in exported.text
        assert client.delete(path, headers=admin).status_code in KNOWN, sent
    assert count(database, "notifications") == 1
