"""A repeated request creates nothing twice."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shirase.store import idempotency, inbox
from shirase.store.database import Database

NEW = {"user_id": "42", "type": "a.b", "title": "T", "message": "M"}
CONTENT = {name: value for name, value in NEW.items() if name != "user_id"}

Token = Callable[..., str]


def post(client: FlaskClient, token: Token, body: Any, key: str, path: str = "", owner: str = "svc") -> TestResponse:
    headers = {"Authorization": f"Bearer {token(owner, 'notifications:write')}", "Idempotency-Key": key}
    return client.post(f"/api/notifications{path}", json=body, headers=headers)


def stored(database: Database, user_id: str = "42") -> int:
    with database.autocommit() as db:
        return len(inbox.page(db, user_id, datetime.now(UTC), limit=1000))


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("", NEW),
        ("/batch", {"notifications": [NEW]}),
        ("/broadcast", {**CONTENT, "user_ids": ["42"]}),
    ],
)
def test_a_repeat_gets_the_first_answer_and_creates_nothing(
    client: FlaskClient, token: Token, database: Database, path: str, body: Any
) -> None:
    first = post(client, token, body, "k", path)
    again = post(client, token, body, "k", path)
    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json == first.json
    assert again.headers.get("Location") == first.headers.get("Location")
    assert (first.headers.get("Idempotency-Replayed"), again.headers["Idempotency-Replayed"]) == (None, "true")
    assert stored(database) == 1


def test_a_key_is_not_used_for_another_request(client: FlaskClient, token: Token, database: Database) -> None:
    assert post(client, token, NEW, "k").status_code == 201
    assert post(client, token, {**NEW, "title": "other"}, "k").status_code == 422
    assert post(client, token, {"notifications": [NEW]}, "k", "/batch").status_code == 422
    assert stored(database) == 1


def test_a_key_belongs_to_its_producer(client: FlaskClient, token: Token, database: Database) -> None:
    assert post(client, token, NEW, "k", owner="one").status_code == 201
    assert post(client, token, NEW, "k", owner="two").status_code == 201
    assert stored(database) == 2


@pytest.mark.parametrize("key", ["", "é", "x" * 256, "a\tb"])
def test_a_key_that_is_none_is_refused_by_name(client: FlaskClient, token: Token, database: Database, key: str) -> None:
    answer = post(client, token, NEW, key)
    assert answer.status_code == 422
    assert answer.json is not None
    assert answer.json["errors"][0]["field"] == "Idempotency-Key"
    assert stored(database) == 0


def test_fifty_simultaneous_requests_with_one_key_create_one(app: Flask, token: Token, database: Database) -> None:
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: post(app.test_client(), token, NEW, "k"), range(50)))
    assert sorted(answer.status_code for answer in answers) == [200] * 49 + [201]
    assert len({answer.text for answer in answers}) == 1
    assert stored(database) == 1


def test_a_request_that_died_in_the_middle_leaves_its_key_free(
    client: FlaskClient, token: Token, database: Database
) -> None:
    def die() -> None:
        with database.transaction() as db:
            idempotency.claim(db, "svc", "k", "fingerprint", datetime.now(UTC))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        die()
    assert post(client, token, NEW, "k").status_code == 201
