"""REST by its contract; a refused request writes nothing."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from shirase.access.tokens import WRITE
from shirase.store.database import Database

NEW: dict[str, Any] = {"user_id": "42", "type": "a.b", "title": "T", "message": "M"}
CONTENT = {name: value for name, value in NEW.items() if name != "user_id"}


class Api:
    def __init__(self, client: FlaskClient, token: Callable[..., str]) -> None:
        self.client = client
        self.token = token

    def __call__(
        self, method: str, path: str = "", body: Any = None, user: str = "42", scope: str = "", **options: Any
    ) -> TestResponse:
        headers = {"Authorization": f"Bearer {self.token(user, scope)}"}
        if body is not None:
            options["json"] = body
        return self.client.open(f"/api/notifications{path}", method=method, headers=headers, **options)

    def create(self, body: Any, path: str = "") -> TestResponse:
        return self("POST", path, body, "svc", WRITE)

    def ids(self, query: str = "") -> list[int]:
        return [notification["id"] for notification in self.page(query)["notifications"]]

    def page(self, query: str = "") -> Any:
        return self("GET", query).json


@pytest.fixture
def api(client: FlaskClient, token: Callable[..., str]) -> Api:
    return Api(client, token)


def rows(database: Database) -> int:
    with database.autocommit() as db:
        return int(db.execute(text("SELECT count(*) FROM shirase_notifications")).scalar_one())


def test_create_answers_the_notification_and_where_it_is(api: Api) -> None:
    answer = api.create({**NEW, "payload": {"x": [1, {"y": "é"}]}, "expires_at": "2100-01-01T01:00:00+01:00"})
    assert answer.status_code == 201
    body: Any = answer.json
    assert {**body, "id": 0, "created_at": ""} == {
        **NEW,
        "id": 0,
        "payload": {"x": [1, {"y": "é"}]},
        "is_read": False,
        "read_at": None,
        "created_at": "",
        "expires_at": "2100-01-01T00:00:00.000000Z",
        "url": None,
        "icon": None,
        "actor": None,
        "actions": [],
        "category": None,
        "priority": "normal",
        "key": None,
        "revision": 1,
        "count": 1,
        "actors": [],
        "position": body["id"],
        "is_seen": False,
        "archived_at": None,
        "updated_at": body["created_at"],
    }
    assert body["created_at"].endswith("Z")
    assert abs(datetime.fromisoformat(body["created_at"]) - datetime.now(UTC)) < timedelta(minutes=1)
    assert answer.headers["Location"] == f"/api/notifications/{body['id']}"
    assert api("GET", f"/{body['id']}").json == body


def test_a_batch_keeps_order_and_a_broadcast_has_a_user_once(api: Api, database: Database) -> None:
    batch = [{**NEW, "user_id": user, "title": str(n)} for n, user in enumerate(["b", "a", "b", "a"])]
    answer: Any = api.create({"notifications": batch}, "/batch").json
    assert [(notification["user_id"], notification["title"]) for notification in answer["notifications"]] == [
        (item["user_id"], item["title"]) for item in batch
    ]
    assert api.create({**CONTENT, "user_ids": ["a", "b", "a"]}, "/broadcast").json == {"created": 2}
    assert rows(database) == 6


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"user_id": ""}, "user_id"),
        ({"user_id": "x" * 256}, "user_id"),
        ({"user_id": "a\nb"}, "user_id"),
        ({"user_id": 4.2}, "user_id"),
        ({"user_id": True}, "user_id"),
        ({"type": ""}, "type"),
        ({"type": "x" * 101}, "type"),
        ({"type": "a b"}, "type"),
        ({"type": "ab\n"}, "type"),
        ({"title": ""}, "title"),
        ({"title": "x" * 201}, "title"),
        ({"title": "a\x00"}, "title"),
        ({"message": "x" * 4001}, "message"),
        ({"message": None}, "message"),
        ({"payload": []}, "payload"),
        ({"payload": {"x": "y" * 16_384}}, "payload"),
        ({"payload": {"x": ["\x00"]}}, "payload"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2100-01-01T00:00:00"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-23:00"}, "expires_at"),
        ({"expires_at": 4102444800}, "expires_at"),
        ({"expires_at": "4102444800"}, "expires_at"),
        ({"send_at": "4102444800.5"}, "send_at"),
        ({"priority": 1}, "priority"),
    ],
)
def test_a_wrong_field_is_named_and_nothing_is_written(
    api: Api, database: Database, change: dict[str, Any], field: str
) -> None:
    answer = api.create({**NEW, **change})
    assert answer.status_code == 422
    assert answer.content_type == "application/problem+json"
    body: Any = answer.json
    assert [error["field"] for error in body["errors"]] == [field]
    batch: Any = api.create({"notifications": [NEW, {**NEW, **change}]}, "/batch").json
    assert batch["errors"][0]["field"] == f"notifications[1].{field}"
    assert rows(database) == 0


def test_what_is_just_within_the_limits_is_taken(api: Api) -> None:
    most = {"user_id": "😀" * 255, "type": "x" * 100, "title": "é" * 200, "message": "\u2028" * 4000}
    assert api.create({**most, "payload": {"x": "y" * (16_384 - 8)}}).status_code == 201
    assert api.create({**NEW, "message": ""}).status_code == 201
    assert api.create({**NEW, "payload": {"x": "\\u0000"}}).status_code == 201  # a backslash, not NUL
    assert api.create({"notifications": [NEW] * 1000}, "/batch").status_code == 201
    assert api.create({**CONTENT, "user_ids": [str(n) for n in range(10_000)]}, "/broadcast").status_code == 201


def test_what_is_just_beyond_the_limits_is_refused(api: Api, database: Database) -> None:
    assert api.create({"notifications": [NEW] * 1001}, "/batch").status_code == 422
    assert api.create({"notifications": []}, "/batch").status_code == 422
    assert api.create({**CONTENT, "user_ids": [str(n) for n in range(10_001)]}, "/broadcast").status_code == 422
    assert api.create({**CONTENT, "user_ids": []}, "/broadcast").status_code == 422
    assert rows(database) == 0


@pytest.mark.parametrize(
    ("sent", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"", "application/json", 400),
        (b'{"title": NaN}', "application/json", 400),
        (b'{"title": "\\ud800"}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        # On every Python, whatever its recursion limit.
        *(
            (b'{"payload": ' + b'{"x":' * deep + b"1" + b"}" * (deep + 1), "application/json", 400)
            for deep in (500, 950)
        ),
        (b'{"payload": ' + b'{"x":' * 499 + b"1" + b"}" * 500, "application/json", 422),
        (b'{"payload": ' + b"[" * 101 + b"]" * 101 + b"}", "application/json", 422),
        (b'{"payload": ' + b'{"x":' * 300 + b"1" + b"}" * 301, "application/json", 422),
        (b'{"payload": {"x": ' + b"1" * 5000 + b"}}", "application/json", 400),
        (b'{"payload": {"x": ' + b"1" * 300 + b"}}", "application/json", 422),
        (b'{"payload": {"x": 1e999}}', "application/json", 400),
        (b'{"title": "a", "title": "b"}', "application/json", 400),
        (b'{"title": "a", "t\\u0069tle": "b"}', "application/json", 400),
        (b'{"payload": {"x": [{"y": 1, "y": 2}]}}', "application/json", 400),
        (b'{"title": Infinity}', "application/json", 400),
        (b'{"title": "a\x00b"}', "application/json", 400),
        (b'{"title": "\\udfff\\ud800"}', "application/json", 400),
        (b"\xef\xbb\xbf{}", "application/json", 400),
        ('{"title": "é"}'.encode("utf-16"), "application/json", 400),
        (b"{}{}", "application/json", 400),
        (b"{}", "application/json; charset=utf-16", 422),
        (b"{}", "application/jsonp", 415),
        (b"{}", "multipart/form-data", 415),
        (b"{}", "text/plain", 415),
        (b"[]", "application/json", 422),
        (b" " * (1024 * 1024 + 1), "application/json", 413),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    client: FlaskClient, token: Callable[..., str], sent: bytes, kind: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {token('svc', WRITE)}"}
    answer = client.post("/api/notifications", data=sent, content_type=kind, headers=headers)
    assert (answer.status_code, answer.content_type) == (status, "application/problem+json")


def test_creating_needs_the_scope_and_all_needs_a_token(api: Api, client: FlaskClient, database: Database) -> None:
    assert api("POST", "", NEW).status_code == 403
    assert api("POST", "", NEW, scope="notifications:writer").status_code == 403
    bare = client.post("/api/notifications", json=NEW)
    assert (bare.status_code, bare.headers["WWW-Authenticate"]) == (401, "Bearer")
    bad = client.get("/api/notifications", headers={"Authorization": "Bearer x"})
    assert (bad.status_code, bad.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')
    assert client.get("/api/notifications?token=" + api.token("42")).status_code == 401  # for streams only
    assert rows(database) == 0


def test_pages_and_filters_of_the_list(api: Api) -> None:
    batch = [{**NEW, "type": "odd" if n % 2 else "even"} for n in range(5)]
    answer: Any = api.create({"notifications": batch}, "/batch").json
    ids = [notification["id"] for notification in answer["notifications"]][::-1]
    api("POST", "/read", {"ids": [ids[0]]})
    first = api.page("?limit=2")
    assert [notification["id"] for notification in first["notifications"]] == ids[:2]
    assert (first["unread_count"], first["next_before"]) == (4, ids[1])
    rest = api.page(f"?limit=200&before={first['next_before']}")
    assert ([notification["id"] for notification in rest["notifications"]], rest["next_before"]) == (ids[2:], None)
    assert api.ids("?unread=true") == ids[1:]
    assert api.ids("?unread=false") == ids[:1]
    assert api.ids("?type=odd") == [ids[1], ids[3]]
    assert api.ids("?type=odd&unread=true&limit=1") == [ids[1]]
    for wrong in (
        "limit=0",
        "limit=201",
        "limit=x",
        "before=0",
        "unread=yes",
        "type=a%20b",
        "other=1",
        "limit=5&limit=6",
    ):
        assert api("GET", f"?{wrong}").status_code == 422, wrong


def test_read_and_delete_touch_and_reveal_nothing_of_others(api: Api) -> None:
    mine: Any = api.create(NEW).json
    theirs: Any = api.create({**NEW, "user_id": "7"}).json
    ids = [mine["id"], theirs["id"], 10**12]
    assert api("POST", "/read", {"ids": ids}).json == {"updated": 1, "unread_count": 0}
    assert api("POST", "/read", {"ids": ids}).json == {"updated": 0, "unread_count": 0}
    assert api("DELETE", f"/{theirs['id']}").status_code == 404
    assert api("GET", f"/{theirs['id']}").status_code == 404
    assert api("GET", "/unread-count", user="7").json == {"unread_count": 1}
    assert api("DELETE", f"/{mine['id']}").status_code == 204
    assert api("DELETE", f"/{mine['id']}").status_code == 404
    for wrong in ([], [0], ["1"], [2**63], [1] * 1001, None):
        assert api("POST", "/read", {"ids": wrong}).status_code == 422
    assert api("POST", "/read", {"ids": [1], "padding": "x" * 70_000}).status_code == 413


def test_read_all_returns_how_many(api: Api) -> None:
    api.create({"notifications": [NEW] * 3}, "/batch")
    assert api("POST", "/read-all").json == {"updated": 3, "unread_count": 0}
    assert api("POST", "/read-all").json == {"updated": 0, "unread_count": 0}
    assert all(notification["is_read"] and notification["read_at"] for notification in api.page()["notifications"])


def test_what_has_expired_is_gone_from_lists_and_counts_at_once(api: Api, database: Database) -> None:
    api.create({"notifications": [NEW, {**NEW, "expires_at": "2100-01-01T00:00:00Z"}]}, "/batch")
    with database.transaction() as db:
        db.execute(
            text(
                "UPDATE shirase_notifications SET expires_at = '2020-01-01T00:00:00.000000Z'"
                " WHERE expires_at IS NOT NULL"
            )
        )
    page = api.page()
    assert (len(page["notifications"]), page["unread_count"]) == (1, 1)
    assert api("GET", "/unread-count").json == {"unread_count": 1}
    assert api("POST", "/read-all").json == {"updated": 1, "unread_count": 0}


def test_every_other_refusal_is_a_problem_document(api: Api, client: FlaskClient) -> None:
    for answer, status in (
        (client.get("/nothing"), 404),
        (client.put("/api/notifications"), 405),
        (api("GET", "/x"), 404),
        (client.get("/api/sse/next"), 403),
        (client.get("/api/sse/next/x"), 403),
        (client.get("/api/sse/notifications?token=" + api.token("42")), 501),
        (client.get("/api/notifications/poll?token=" + api.token("42")), 501),
    ):
        assert (answer.status_code, answer.content_type) == (status, "application/problem+json")
        body: Any = answer.json
        assert (body["status"], bool(body["title"]), bool(body["detail"])) == (status, True, True)


def test_a_crash_reveals_its_id_and_nothing_else(
    app: Flask, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("shirase.inbox.inbox.unread_count", lambda *_: 1 / 0)
    with caplog.at_level(logging.ERROR):
        answer = api("GET", "/unread-count")
    body: Any = answer.json
    assert answer.status_code == 500
    assert "division" not in answer.text
    assert body["request_id"] == answer.headers["X-Request-Id"]
    assert body["request_id"] in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert app.extensions["shirase"]
