"""Webhooks for operators: the API, the command, the queue, traces and metrics."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook
from werkzeug.test import TestResponse

from shirase.access.tokens import ADMIN
from shirase.inbox import users
from shirase.proxy.publisher import Publisher
from shirase.relay import webhooks as relay
from shirase.run.cli import main
from shirase.run.trace import lines
from shirase.settings import Settings
from shirase.store.database import Database
from tests.integration.webhooks.sending import FIRST, SECOND, make_due, titles
from tests.support.sink import Sink


def test_no_secret_is_in_an_answer(ask: Callable[..., TestResponse], server: Sink) -> None:
    answers = [ask("PUT", "/a", {"url": server.url, "types": [], "secret": FIRST}) for _ in range(2)]
    answers += [ask("PUT", "/b", {"url": server.url, "types": []}), ask("GET"), ask("POST", "/b/retry")]
    assert [answer.status_code for answer in answers] == [201, 200, 201, 200, 200]
    for answer in answers:
        assert "whsec" not in answer.text
        assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"url": "http://example.com/", "types": []}, "url"),
        ({"url": "https://10.0.0.1/", "types": []}, "url"),
        ({"url": "https://[::1]/", "types": []}, "url"),
        ({"url": "https://2130706433/", "types": []}, "url"),
        ({"url": "https://u:p@example.com/", "types": []}, "url"),
        ({"url": "x" * 2001, "types": []}, "url"),
        ({"url": "https://example.com/", "types": ["no spaces"]}, "types[0]"),
        ({"url": "https://example.com/"}, "types"),
        ({"url": "https://example.com/", "types": [], "secret": "short"}, "secret"),
        ({"url": "https://example.com/", "types": [], "secret": "whsec_c2hvcnQ="}, "secret"),
        ({"url": "https://example.com/", "types": [], "secret": f"whsec_{'!' * 40}"}, "secret"),
        ({"url": "https://example.com/", "types": [], "more": 1}, "more"),
    ],
)
def test_bad_input_names_the_field_and_changes_nothing(
    body: dict[str, Any], field: str, ask: Callable[..., TestResponse]
) -> None:
    answer = ask("PUT", "/a", body)
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)  # type: ignore[index]
    assert ask("GET").json == {"webhooks": []}


def test_only_an_operator_uses_webhooks(ask: Callable[..., TestResponse]) -> None:
    for method, path in (("GET", ""), ("PUT", "/a"), ("DELETE", "/a"), ("POST", "/a/retry")):
        assert ask(method, path, {}, "notifications:write").status_code == 403
    assert [ask(method, path).status_code for method, path in (("DELETE", "/a"), ("POST", "/a/retry"))] == [404, 404]
    assert ask("DELETE", "/no%20spaces").json["errors"][0]["field"] == "name"  # type: ignore[index]


def test_deleting_an_endpoint_empties_its_queue(
    ask: Callable[..., TestResponse],
    endpoint: Sink,
    create: Callable[..., None],
    deliver: Callable[[], int],
    database: Database,
) -> None:
    create("1", "2")
    assert ask("DELETE", "/a").status_code == 204
    create("3")
    assert deliver() == 0
    with database.autocommit() as db:
        assert db.execute(text("SELECT count(*) FROM shirase_webhook_queue")).scalar_one() == 0
    assert endpoint.got == []


def test_an_erased_users_queue_is_erased(
    endpoint: Sink, create: Callable[..., None], deliver: Callable[[], int], database: Database, settings: Settings
) -> None:
    create("1")
    create("2", user="43")
    users.erase(database, Publisher(settings), "42")
    deliver()
    assert titles(endpoint.got) == ["2"]


def test_what_is_beyond_the_retention_leaves_the_queue(
    endpoint: Sink, create: Callable[..., None], deliver: Callable[[], int], database: Database, settings: Settings
) -> None:
    create("old")
    with database.transaction() as db:
        db.execute(text("UPDATE shirase_events SET created_at = '2001-01-01T00:00:00.000000Z'"))
    create("new")
    relay.keep_house(settings, database)
    deliver()
    assert titles(endpoint.got) == ["new"]


def test_verify_checks_a_request(
    endpoint: Sink, create: Callable[..., None], deliver: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    create("1")
    deliver()
    [got] = endpoint.accepted
    named = {"--id": "webhook-id", "--timestamp": "webhook-timestamp", "--signature": "webhook-signature"}
    arguments = [part for option, header in named.items() for part in (option, got.headers[header])]

    def verify(body: bytes, secret: str) -> tuple[int, str]:
        result = CliRunner(env={"SHIRASE_WEBHOOK_SECRET": secret}).invoke(
            main, ["webhook", "verify", *arguments], input=body
        )
        return result.exit_code, result.output

    monkeypatch.delenv("SHIRASE_WEBHOOK_SECRET", raising=False)
    assert verify(got.body, FIRST) == (0, "verified\n")
    for body, secret in ((got.body + b"x", FIRST), (got.body, SECOND), (got.body, "whsec_"), (b"\xff", FIRST)):
        code, output = verify(body, secret)
        assert (code, output.partition(":")[0]) == (1, "shirase"), secret


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--timestamp", "yesterday", "--timestamp must be a Unix time"),
        ("--timestamp", "1", "--timestamp is more than 5 minutes ago"),
        ("--timestamp", "99999999999", "--timestamp is more than 5 minutes ahead"),
        ("--signature", "nonsense", "--signature must be like v1,"),
        ("--signature", "v1,AAAA", "is not what was signed"),
        ("--secret", "whsec_!", "--secret must be what `shirase webhook secret` prints"),
        ("--id", "", "must not be empty"),
    ],
)
def test_verify_names_what_is_wrong(option: str, value: str, reason: str) -> None:
    right = {"--id": "1", "--timestamp": str(int(time.time())), "--signature": "v1,AAAA", "--secret": FIRST}
    arguments = [part for pair in ({**right, option: value}).items() for part in pair]
    result = CliRunner().invoke(main, ["webhook", "verify", *arguments], input=b"{}")
    assert (result.exit_code, reason in result.output) == (1, True), result.output


def test_secret_prints_a_generated_one(
    ask: Callable[..., TestResponse], server: Sink, settings: Settings, deliver: Callable[[], int], create: Any
) -> None:
    ask("PUT", "/a", {"url": server.url, "types": []})
    environ = {
        "DATABASE_URL": settings.database_url,
        "GRIP_URL": settings.grip_url[0],
        "PUSHPIN_SIG_KEY": settings.pushpin_sig_key,
    }
    shown = CliRunner(env=environ).invoke(main, ["webhook", "secret", "a"])
    assert shown.exit_code == 0, shown.output
    create("1")
    deliver()
    Webhook(shown.output.strip()).verify(server.accepted[0].body, server.accepted[0].headers)


def test_a_user_can_switch_webhooks_off(
    endpoint: Sink,
    create: Callable[..., None],
    deliver: Callable[[], int],
    client: FlaskClient,
    token: Callable[..., str],
    database: Database,
) -> None:
    """Also for what waits. The narrowest rule applies, critical types stay, and other users are not affected."""
    with database.transaction() as db:
        columns = "(type, label, description, critical)"
        db.execute(text(f"INSERT INTO shirase_types {columns} VALUES ('c.d', 'C', '', true)"))  # noqa: S608
    create("waits")
    rules = [
        {"scope": "*", "channel": "webhook", "enabled": False},
        {"scope": "on", "channel": "webhook", "enabled": True},
    ]
    headers = {"Authorization": f"Bearer {token('42')}"}
    assert client.put("/api/preferences", json={"rules": rules}, headers=headers).status_code == 200
    create("off")
    create("on", kind="on")
    create("critical", kind="c.d")
    create("another's", user="43")
    deliver()
    assert titles(endpoint.got) == ["on", "critical", "another's"]
    assert client.get("/api/notifications/unread-count", headers=headers).json == {"unread_count": 4}


def test_a_trace_lists_each_webhook(
    ask: Callable[..., TestResponse],
    endpoint: Sink,
    create: Callable[..., None],
    deliver: Callable[[], int],
    client: FlaskClient,
    token: Callable[..., str],
) -> None:
    ask("PUT", "/b", {"url": f"{endpoint.url}/b", "types": ["a.b"], "secret": SECOND})
    ask("PUT", "/c", {"url": endpoint.url, "types": ["other"]})
    create("1", key="k")
    deliver()
    create("2", key="k")
    endpoint.mode = "500"
    deliver()
    headers = {"Authorization": f"Bearer {token('operator', ADMIN)}"}
    answer: Any = client.get("/api/notifications/1/trace", headers=headers).json
    assert [(step["name"], step["event"], step["state"]) for step in answer["webhooks"]] == [
        ("a", "created", "done"),
        ("b", "created", "done"),
        ("a", "updated", "waiting"),
        ("b", "updated", "waiting"),
    ]
    waiting = answer["webhooks"][2]
    assert (waiting["attempts"], waiting["reason"]) == (1, "status 500")
    assert waiting["id"] in {post.headers["webhook-id"] for post in endpoint.got}
    shown = lines(answer)
    assert any(line.startswith("webhook a: created") and "accepted" in line for line in shown)
    assert any(line.startswith("webhook b: updated") and "status 500" in line for line in shown)


def test_the_state_of_webhooks_is_exported(
    endpoint: Sink, create: Callable[..., None], deliver: Callable[[], int], client: FlaskClient, database: Database
) -> None:
    def figure(name: str) -> float:
        [line] = [line for line in client.get("/metrics").text.splitlines() if line.startswith(f"{name} ")]
        return float(line.rpartition(" ")[2])

    create("1", "2")
    assert figure("shirase_queued_webhook_events") == 2
    assert figure("shirase_webhook_failing_seconds") == 0
    endpoint.mode = "500"
    deliver()
    assert figure("shirase_webhook_failing_seconds") > 0
    assert figure("shirase_paused_webhooks") == 0
    make_due(database)
    endpoint.mode = "410"
    deliver()
    assert figure("shirase_webhook_failing_seconds") == 0
    assert figure("shirase_paused_webhooks") == 1
