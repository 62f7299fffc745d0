"""For every pair of users and every endpoint: one user's requests neither show nor change the other's notifications.

The requests are built from the route table and the OpenAPI document. A new parameter that could name another user's
things fails the test until it is added here.
"""

import json
import os
from collections.abc import Iterator
from itertools import permutations
from typing import Any
from urllib.parse import quote

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import Connection, text
from werkzeug.test import TestResponse

from shirase.inbox import cursors, notifications
from shirase.proxy import grip
from shirase.store.database import Database
from shirase.types import START, Draft
from shirase.web.openapi import describe
from shirase.web.operation import OPERATOR, PUBLIC, USER, USER_IN_QUERY, Operation
from tests.attack.conftest import Headers
from tests.attack.hostile import IDS
from tests.support.content import content, made

# All pairs take minutes: `make attack` runs them.
USERS = IDS if "ATTACK_EXAMPLES" in os.environ else IDS[:9]
TABLES = {"notifications": "id", "events": "seq", "streams": "user_id", "deliveries": "id", "contacts": "user_id"}
TABLES |= {"preferences": "scope", "quiet_hours": "user_id", "push_subscriptions": "id", "webhook_queue": "id"}
LISTING = ("archived", "category", "q", "skip")  # narrow the caller's own list
Target = dict[str, Any]


@pytest.fixture
def targets(app: Flask) -> dict[str, Target]:
    """Create a notification with a unique text for each user; return it with the beginning of their log."""
    wired = app.extensions["shirase"]
    result = {}
    for number, user in enumerate(USERS):
        mark = f"of-{number}-alone"
        theirs = content("a.b", mark, mark, json.dumps({"mark": mark}))
        body, _ = notifications.create(
            wired.database, wired.publisher, [Draft(user, theirs)] * 2, answer=lambda stored: str(made(stored[0]).id)
        )
        result[user] = {
            "mark": mark,
            "id": int(body),
            "cursor": cursors.encode(wired.database.name, user, START),
            "grip_last": f"{grip.user_channel(user)}; last-id=0,{grip.connection_channel('0a1b')}; last-id=0",
        }
    return result


def requests(app: Flask, victim: str, target: Target) -> Iterator[tuple[Operation, str, dict[str, Any]]]:
    """Build a request for each method of each route, aimed at the victim by every parameter."""
    endpoints = app.extensions["shirase.endpoints"]
    document = describe(endpoints, app.extensions["shirase"].settings)
    body = {"id": target["id"], "ids": [target["id"]], "user_id": victim, "user_ids": [victim], "add": [victim]}
    body |= {"type": "a.b", "title": "T", "message": "M", "topic": "a-topic", "cursor": target["cursor"]}
    body |= {"url": "https://example.com/", "types": []}
    body |= {"endpoint": f"https://example.com/{target['id']}", "keys": {"p256dh": "", "auth": ""}}
    body["notifications"] = [{name: body[name] for name in ("user_id", "type", "title", "message")}]
    for endpoint in endpoints:
        described: Operation = endpoint.operation
        if described.access in (PUBLIC, OPERATOR):
            continue
        path = endpoint.path.replace("<int:number>", str(target["id"])).replace("<sealed>", target["cursor"])
        path = (
            path.replace("<path:key>", "a-key")
            .replace("<topic>", "a-topic")
            .replace("<name>", "a-webhook")
            .replace("<kind>", "a.b")
            .replace("<path:user_id>", quote(victim, safe=""))
        )
        assert "<" not in path, f"how does {path} name another user's things?"
        options: dict[str, Any] = {}
        if described.body:
            schema = document["components"]["schemas"][described.body.__name__]
            fields = schema.get("required", [name for name in ("add",) if name in schema["properties"]])
            assert set(fields) <= set(body), f"how does {fields} of {path} name another user?"
            options["json"] = {name: body[name] for name in fields}
        if described.query:
            known = {
                "after": target["cursor"],
                "last_event_id": target["cursor"],
                "lastEventId": target["cursor"],
                "user_id": victim,
            }
            asked = set(described.query.model_fields)
            options["query_string"] = {name: value for name, value in known.items() if name in asked}
            assert asked <= {*known, "limit", "before", "unread", "type", "timeout", "ticket", "token", *LISTING}, path
        yield described, path, options | {"method": endpoint.method}


def rows_of(db: Connection, user: str) -> dict[str, Any]:
    """Read everything stored about a user."""
    return {
        table: db.execute(
            text(f"SELECT * FROM shirase_{table} WHERE user_id = :user ORDER BY {order}"),  # noqa: S608 - our own names
            {"user": user},
        ).all()
        for table, order in TABLES.items()
    }


def channels(answer: TestResponse) -> list[str]:
    """Return the channels that the proxy is instructed to subscribe the caller to."""
    return [part.partition(";")[0].strip() for part in answer.headers.get("Grip-Channel", "").split(",")]


@pytest.mark.timeout(120 + len(USERS) ** 2)
def test_no_user_sees_or_changes_anothers(
    app: Flask, client: FlaskClient, headers: Headers, targets: dict[str, Target]
) -> None:
    database: Database = app.extensions["shirase"].database
    asked = {user: {**headers(user), "Last-Event-ID": "", "Grip-Last": ""} for user in USERS}
    count = 0
    for victim, target in targets.items():
        with database.autocommit() as db:
            before = rows_of(db, victim)
        for caller in (user for user in USERS if user != victim):
            sent = asked[caller] | {"Last-Event-ID": target["cursor"], "Grip-Last": target["grip_last"]}
            for described, path, options in requests(app, victim, target):
                answer = client.open(path, headers=sent, **options)
                count += 1
                where = (caller, victim, options["method"], path)
                assert answer.status_code < 500, where
                assert target["mark"] not in answer.get_data(as_text=True), where
                assert grip.user_channel(victim) not in channels(answer), where
                if described.access not in (USER, USER_IN_QUERY):
                    assert answer.status_code == 403, where
        with database.autocommit() as db:
            assert rows_of(db, victim) == before, victim
    assert count >= len(list(permutations(USERS, 2))) * 12


def test_the_one_whose_they_are_sees_them(
    app: Flask, client: FlaskClient, headers: Headers, targets: dict[str, Target]
) -> None:
    """The owner's own requests do show the text, so the test above would notice it."""
    for user, target in targets.items():
        shown = [
            path
            for described, path, options in requests(app, user, target)
            if described.access in (USER, USER_IN_QUERY) and options["method"] == "GET"
            for answer in [client.open(path, headers=headers(user), **options)]
            if target["mark"] in answer.get_data(as_text=True)
        ]
        assert sorted(shown) == [
            "/api/notifications",
            f"/api/notifications/{target['id']}",
            "/api/notifications/poll",
            "/api/sse/notifications",
        ]


def test_every_one_of_these_ids_has_a_channel_of_its_own() -> None:
    assert len({grip.user_channel(user) for user in IDS}) == len(IDS) == len(set(IDS))
