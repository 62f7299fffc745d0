"""Why did it not arrive? Traces of notifications that arrived, that wait, and that were read."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from shirase.access.tokens import ADMIN, WRITE
from shirase.flask.app import create_app
from shirase.relay import repair
from shirase.run.trace import lines
from shirase.settings import Settings
from tests.support.control_port import ControlPort, control_port
from tests.support.loop_thread import wait_until

BOUND = 10.0
TEXT = "the-text"
Ask = Callable[..., Any]


@pytest.fixture
def port() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


@pytest.fixture
def settings(settings: Settings, port: ControlPort) -> Settings:
    return replace(settings, grip_url=(port.url,))


@pytest.fixture
def ask(client: FlaskClient, token: Callable[..., str]) -> Ask:
    def ask(
        method: str, path: str, body: Any = None, *, user: str = "operator", scope: str = ADMIN, **more: str
    ) -> Any:
        headers = {"Authorization": f"Bearer {token(user, scope)}", **more}
        return client.open(f"/api/notifications{path}", method=method, json=body, headers=headers)

    return ask


def create(ask: Ask) -> int:
    answer = ask("POST", "", {"user_id": "42", "type": "a.b", "title": TEXT, "message": TEXT}, scope=WRITE)
    assert answer.status_code == 201
    number: int = answer.json["id"]
    return number


def trace(ask: Ask, number: int) -> dict[str, Any]:
    answer = ask("GET", f"/{number}/trace")
    assert answer.status_code == 200
    assert TEXT not in answer.text
    result: dict[str, Any] = answer.json
    return result


def test_the_steps_of_one_that_arrived_and_was_read(ask: Ask, port: ControlPort) -> None:
    number = create(ask)
    agent = "Mozilla/5.0 (X11; Linux)" + "x" * 300
    ask("POST", "/read", {"ids": [number]}, user="42", scope="", **{"User-Agent": agent})

    result = trace(ask, number)

    assert (result["id"], result["user_id"], result["type"], result["seq"]) == (number, "42", "a.b", 1)
    assert result["created_at"] <= result["committed_at"] <= result["published_at"] <= result["read_at"]
    assert (result["way"], result["attempts"], result["nodes"]) == ("publish", 1, [port.url])
    assert result["waiting_nodes"] == []
    assert result["read_by"] == agent[:200]
    printed = lines(result)
    assert printed[0] == f"notification {number} for 42, a.b; event 42/1"
    assert "at once, attempt 1; accepted by " + port.url in printed[3]
    assert printed[-2].startswith("read ")
    assert "on Mozilla/5.0" in printed[-2]


def test_a_type_without_a_policy_is_named(ask: Ask, client: FlaskClient, token: Callable[..., str]) -> None:
    number = create(ask)
    assert lines(trace(ask, number))[-1] == "policy     none: the catalogue has no channel for the type a.b"
    entry = {"label": "A", "description": "", "channels": [{"channel": "email"}]}
    headers = {"Authorization": f"Bearer {token('operator', ADMIN)}"}
    assert client.put("/api/types/a.b", json=entry, headers=headers).status_code == 200
    assert not [line for line in lines(trace(ask, number)) if line.startswith("policy ")]


def test_channels_without_a_delivery_have_a_reason(ask: Ask, client: FlaskClient, token: Callable[..., str]) -> None:
    def put(path: str, body: Any, user: str, scope: str = "") -> None:
        headers = {"Authorization": f"Bearer {token(user, scope)}"}
        assert client.put(path, json=body, headers=headers).status_code == 200

    rule = {"scope": "a.b", "channel": "email", "enabled": False}
    policy = [{"channel": "email"}, {"channel": "email", "after": "1h"}, {"channel": "web_push"}]
    put("/api/preferences", {"rules": [rule]}, "42")
    put("/api/types/a.b", {"label": "A", "description": "", "channels": policy}, "operator", ADMIN)
    number = create(ask)
    result = trace(ask, number)
    assert [delivery["channel"] for delivery in result["deliveries"]] == ["web_push"]
    assert result["omitted"] == [{"channel": "email", "reason": "muted"}]
    assert lines(result)[-1] == "email      no delivery: the user has switched it off"
    put("/api/preferences", {"rules": []}, "42")
    result = trace(ask, number)
    assert result["omitted"] == [{"channel": "email", "reason": "not_planned"}]
    assert lines(result)[-1].startswith(
        "email      no delivery: it was switched off, or not in the type's policy, when"
    )


def test_a_delivery_that_no_relay_takes_leads_to_doctor(
    ask: Ask, client: FlaskClient, token: Callable[..., str]
) -> None:
    entry = {"label": "A", "description": "", "channels": [{"channel": "email"}]}
    headers = {"Authorization": f"Bearer {token('operator', ADMIN)}"}
    assert client.put("/api/types/a.b", json=entry, headers=headers).status_code == 200
    result = trace(ask, create(ask))
    assert "no relay" not in lines(result)[-1]
    later = datetime.now(UTC) + timedelta(minutes=2)
    assert "no relay has taken it; `shirase doctor` has the reason" in lines(result, later)[-1]


def test_a_waiting_event_shows_the_relays_attempts(app: Flask, ask: Ask, port: ControlPort) -> None:
    port.behaviour = "fail"
    number = create(ask)
    waiting = trace(ask, number)
    assert waiting["published_at"] is None
    assert (waiting["way"], waiting["attempts"], waiting["nodes"]) == (None, None, [])
    assert "waits for the relay" in lines(waiting)[2]

    wired = app.extensions["shirase"]
    attempts: repair.Attempts = {}
    for _ in range(2):  # after these the node is spared
        attempts = repair.repair(wired.database, wired.publisher, attempts).attempts
    assert attempts == {("42", 1): 2}
    assert repair.repair(wired.database, wired.publisher, attempts).attempts == attempts
    port.behaviour = "accept"

    def repaired() -> bool:
        nonlocal attempts
        done = repair.repair(wired.database, wired.publisher, attempts)
        attempts = done.attempts
        return done.events == 1

    wait_until(repaired, BOUND, "the relay did not publish it")
    result = trace(ask, number)
    assert (result["way"], result["attempts"], result["nodes"]) == ("relay", 3, [port.url])
    assert result["committed_at"] is None
    assert "by the relay, attempt 3" in lines(result)[2]
    assert lines(result)[-2] == "read       not yet"


def test_a_node_that_missed_it_is_named_until_it_read_it(
    settings: Settings, port: ControlPort, token: Callable[..., str]
) -> None:
    gone = "http://127.0.0.1:1"
    app = create_app(replace(settings, grip_url=(port.url, gone)))
    client = app.test_client()
    headers = {"Authorization": f"Bearer {token('operator', f'{WRITE} {ADMIN}')}"}
    new = {"user_id": "42", "type": "a.b", "title": TEXT, "message": ""}
    number = client.post("/api/notifications", json=new, headers=headers).get_json()["id"]

    answer = client.get(f"/api/notifications/{number}/trace", headers=headers).get_json()

    assert (answer["nodes"], answer["waiting_nodes"]) == ([port.url], [gone])
    assert lines(answer)[5] == f"waiting    {gone}: not yet asked to read this user's stream again"
    app.extensions["shirase"].database.close()


def test_a_trace_is_for_administrators_alone(ask: Ask) -> None:
    number = create(ask)

    assert ask("GET", f"/{number}/trace", user="42", scope="").status_code == 403
    assert ask("GET", f"/{number}/trace", user="42", scope=WRITE).status_code == 403
    assert ask("GET", f"/{number + 1}/trace").status_code == 404
    assert ask("DELETE", f"/{number}", user="42", scope="").status_code == 204
    assert "deleted" in ask("GET", f"/{number}/trace").json["detail"]


def test_a_batch_is_traced_one_by_one(ask: Ask, port: ControlPort) -> None:
    new = {"user_id": "42", "type": "a.b", "title": "T", "message": ""}
    made = ask("POST", "/batch", {"notifications": [new] * 60}, scope=WRITE).json["notifications"]

    traces = [trace(ask, item["id"]) for item in (made[0], made[58], made[59])]

    assert [item["seq"] for item in traces] == [1, 59, 60]
    assert {tuple(item["nodes"]) for item in traces} == {(port.url,)}
