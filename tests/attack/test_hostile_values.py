"""Hostile ids, cursors, texts and keys, on each database: refused, or stored as they are."""

import json
from typing import Any

import pytest
from flask.testing import FlaskClient

from shirase.access.tokens import ADMIN, WRITE
from tests.attack.conftest import Headers, check
from tests.attack.hostile import HEADERS, TEXTS

STREAM, POLL = "/api/sse/notifications", "/api/notifications/poll"
NEW = {"user_id": "42", "type": "a.b", "title": "T", "message": "M"}


@pytest.mark.parametrize("path", [STREAM, POLL])
def test_hostile_cursors_reset_and_reveal_nothing(client: FlaskClient, headers: Headers, path: str) -> None:
    name = "after" if path == POLL else "last_event_id"
    for sent in TEXTS:
        answer = check(client.get(path, query_string={name: sent.encode(errors="replace")}, headers=headers("42")))
        assert answer.status_code in (200, 422)
    for sent in HEADERS:
        assert check(client.get(path, headers=headers("42") | {"Last-Event-ID": sent})).status_code == 200


@pytest.mark.parametrize("field", NEW)
def test_hostile_text_is_stored_as_it_is_or_refused(client: FlaskClient, headers: Headers, field: str) -> None:
    for sent in TEXTS:
        body = json.dumps(NEW | {field: sent})
        answer = check(
            client.post("/api/notifications", data=body, content_type="application/json", headers=headers("svc", WRITE))
        )
        assert answer.status_code in (201, 400, 422)
        if answer.status_code == 201:
            reported: Any = answer.json
            assert reported[field] == sent


def test_hostile_keys_of_idempotency_are_refused_or_kept_apart(client: FlaskClient, headers: Headers) -> None:
    made = set()
    taken = [key for key in HEADERS if 1 <= len(key) <= 255 and key == key.strip()]
    for sent in HEADERS:
        answer = check(
            client.post("/api/notifications", json=NEW, headers=headers("svc", WRITE) | {"Idempotency-Key": sent})
        )
        if sent in taken:
            body: Any = answer.json
            made.add(body["id"])
        else:
            assert answer.status_code in (201, 422)
    assert len(made) == len(taken)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_hostile_paths_are_not_found(client: FlaskClient, headers: Headers, method: str) -> None:
    for sent in (
        "0",
        "-1",
        "+1",
        "1.0",
        "1e3",
        "٣",
        "0x1",
        str(2**63),
        "9" * 400,
        "%00",
        "..%2f",
        "1;x",
        "1%20",
        "null",
    ):
        answer = check(client.open(f"/api/notifications/{sent}", method=method, headers=headers("42")))
        assert answer.status_code == 404, sent


def test_hostile_queries_are_refused(client: FlaskClient, headers: Headers) -> None:
    for name in ("limit", "before", "unread", "type"):
        for sent in TEXTS:
            query = {name: sent.encode(errors="replace")}
            answer = check(client.get("/api/notifications", query_string=query, headers=headers("42")))
            assert answer.status_code in (200, 422)
    for sent in TEXTS:
        query = {"user_id": sent.encode(errors="replace")}
        answer = check(client.delete("/api/sse/connections", query_string=query, headers=headers("op", ADMIN)))
        assert answer.status_code in (200, 422)
