"""Webhooks: signed, in order, at least once under the same id, whatever the endpoint and the relay do."""

import json
import os
import signal
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from werkzeug.test import TestResponse

from shirase.access.tokens import ADMIN
from shirase.errors import DatabaseUnavailable
from shirase.inbox import notifications, retract, users
from shirase.proxy.publisher import Publisher
from shirase.relay import webhooks as relay
from shirase.run.cli import main
from shirase.run.trace import lines
from shirase.settings import Settings
from shirase.store import webhooks
from shirase.store.append import append_notifications
from shirase.store.database import Database
from shirase.types import Draft
from tests.support.content import content
from tests.support.loop_thread import wait_until
from tests.support.sink import Got, Sink, sink

FIRST, SECOND = (f"whsec_{b64encode(bytes([number]) * 32).decode()}" for number in (1, 2))
BOUND = 30.0


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, outbound_private_hosts=frozenset({"127.0.0.1"}))


@pytest.fixture
def server() -> Iterator[Sink]:
    with sink() as running:
        yield running


@pytest.fixture
def ask(client: FlaskClient, token: Callable[..., str]) -> Callable[..., TestResponse]:
    def send(method: str, path: str = "", body: Any = None, scope: str = ADMIN) -> TestResponse:
        headers = {"Authorization": f"Bearer {token('operator', scope)}"}
        return client.open(f"/api/webhooks{path}", method=method, json=body, headers=headers)

    return send


@pytest.fixture
def endpoint(ask: Callable[..., TestResponse], server: Sink) -> Sink:
    """An endpoint named ``a`` for every type."""
    body = {"url": f"{server.url}/in", "types": [], "secret": FIRST}
    assert ask("PUT", "/a", body).status_code == 201
    return server


@pytest.fixture
def create(database: Database, settings: Settings) -> Callable[..., None]:
    publisher = Publisher(settings)

    def make(*titles: str, user: str = "42", kind: str = "a.b", key: str | None = None) -> None:
        drafts = [Draft(user, content(kind, title, key=key)) for title in titles]
        notifications.create(database, publisher, drafts, answer=lambda _: "")

    return make


@pytest.fixture
def deliver(database: Database, settings: Settings) -> Callable[[], int]:
    """Return a function that sends everything that is due."""

    def send() -> int:
        with database.autocommit() as db:
            due = webhooks.due(db, datetime.now(UTC))
        return sum(relay.send(settings, database, number) for number in due)

    return send


def titles(requests: list[Got]) -> list[str]:
    return [json.loads(post.body)["data"]["title"] for post in requests]


def make_due(database: Database) -> None:
    with database.transaction() as db:
        past = {"past": "2001-01-01T00:00:00.000000Z"}
        db.execute(text("UPDATE shirase_webhooks SET next_at = :past, claimed_until = :past"), past)


def test_an_endpoint_gets_signed_notifications_in_order(
    endpoint: Sink, create: Callable[..., None], deliver: Callable[[], int]
) -> None:
    create("1", "2", "3")
    create("4", user="43")
    assert deliver() == 4
    assert titles(endpoint.accepted) == ["1", "2", "3", "4"]
    assert len({post.headers["webhook-id"] for post in endpoint.accepted}) == 4
    for post in endpoint.accepted:
        message = Webhook(FIRST).verify(post.body, post.headers)
        assert message["type"] == "notification.created"
        assert message["data"]["user_id"] in ("42", "43")
        with pytest.raises(WebhookVerificationError):
            Webhook(SECOND).verify(post.body, post.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(FIRST).verify(post.body + b" ", post.headers)
    assert deliver() == 0


def test_updates_are_sent_and_what_is_gone_is_not(
    endpoint: Sink, create: Callable[..., None], deliver: Callable[[], int], database: Database, settings: Settings
) -> None:
    create("old", key="k")
    assert deliver() == 1
    create("new", key="k")
    create("gone", key="g")
    create("kept")
    retract.retract_from(database, Publisher(settings), "g", "42")
    deliver()
    sent = [
        (json.loads(post.body)["type"], title) for post, title in zip(endpoint.got, titles(endpoint.got), strict=True)
    ]
    assert sent == [
        ("notification.created", "old"),
        ("notification.updated", "new"),
        ("notification.created", "kept"),
    ]


def test_an_endpoint_gets_only_its_types(
    ask: Callable[..., TestResponse], endpoint: Sink, create: Callable[..., None], deliver: Callable[[], int]
) -> None:
    ask("PUT", "/a", {"url": endpoint.url, "types": ["a.b"]})
    create("1")
    create("2", kind="other")
    create("3")
    deliver()
    assert titles(endpoint.accepted) == ["1", "3"]
    assert ask("GET").json["webhooks"][0]["waiting"] == 0  # type: ignore[index]


def test_both_secrets_sign_while_one_replaces_the_other(
    ask: Callable[..., TestResponse],
    endpoint: Sink,
    create: Callable[..., None],
    deliver: Callable[[], int],
    database: Database,
) -> None:
    answer = ask("PUT", "/a", {"url": endpoint.url, "types": [], "secret": SECOND})
    assert answer.json["rotating_until"] > datetime.now(UTC).isoformat()  # type: ignore[index]
    create("1")
    deliver()
    for secret in (FIRST, SECOND):
        Webhook(secret).verify(endpoint.accepted[-1].body, endpoint.accepted[-1].headers)
    with database.transaction() as db:
        db.execute(text("UPDATE shirase_webhooks SET previous_until = '2001-01-01T00:00:00.000000Z'"))
    create("2")
    deliver()
    Webhook(SECOND).verify(endpoint.accepted[-1].body, endpoint.accepted[-1].headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(FIRST).verify(endpoint.accepted[-1].body, endpoint.accepted[-1].headers)


@pytest.mark.parametrize("mode", ["500", "404", "redirect", "drop", "hang", "drip", "busy"])
def test_a_failure_is_repeated_under_the_same_id(
    mode: str,
    ask: Callable[..., TestResponse],
    endpoint: Sink,
    create: Callable[..., None],
    deliver: Callable[[], int],
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setattr(relay, "TIMEOUT", 0.5)
    create("1", "2")
    endpoint.mode = mode
    assert deliver() == 0
    [state] = ask("GET").json["webhooks"]  # type: ignore[index]
    assert (state["state"], state["attempts"], state["waiting"]) == ("failing", 1, 2)
    least = 600 if mode == "busy" else 2
    assert datetime.fromisoformat(state["next_attempt_at"]) - datetime.fromisoformat(
        state["failing_since"]
    ) >= timedelta(seconds=least)
    assert "127.0.0.1" not in state["reason"]
    assert deliver() == 0  # it is not due
    assert len(endpoint.got) == 1
    endpoint.mode = "ok"
    make_due(database)
    assert deliver() == 2
    assert titles(endpoint.accepted) == ["1", "2"]
    assert endpoint.got[0].headers["webhook-id"] == endpoint.accepted[0].headers["webhook-id"]
    [state] = ask("GET").json["webhooks"]  # type: ignore[index]
    assert (state["state"], state["attempts"], state["reason"]) == ("active", 0, None)
    assert "webhook a failed" in caplog.text
    for hidden in (FIRST, FIRST.removeprefix("whsec_"), "/in", "v1,"):
        assert hidden not in caplog.text


def test_waits_between_attempts_double_and_vary() -> None:
    for attempts in (1, 2, 5):
        waits = {relay.backoff(attempts).total_seconds() for _ in range(200)}
        assert len(waits) > 100
        usual = relay.FIRST_RETRY.total_seconds() * 2 ** (attempts - 1)
        assert usual / 2 <= min(waits) <= max(waits) <= usual * 1.5
    assert relay.backoff(10_000) <= relay.LONGEST_RETRY * 1.5


def test_a_day_of_failures_pauses_until_a_retry(
    ask: Callable[..., TestResponse],
    endpoint: Sink,
    create: Callable[..., None],
    deliver: Callable[[], int],
    database: Database,
) -> None:
    create("1", "2")
    endpoint.mode = "500"
    deliver()
    with database.transaction() as db:
        db.execute(text("UPDATE shirase_webhooks SET failing_since = '2001-01-01T00:00:00.000000Z'"))
    make_due(database)
    deliver()
    assert ask("GET").json["webhooks"][0]["state"] == "paused"  # type: ignore[index]
    endpoint.mode = "ok"
    make_due(database)
    assert deliver() == 0
    create("3")
    retried = ask("POST", "/a/retry")
    assert (retried.json["state"], retried.json["waiting"]) == ("active", 3)  # type: ignore[index]
    assert deliver() == 3
    assert titles(endpoint.accepted) == ["1", "2", "3"]


def test_a_retry_can_skip_what_the_endpoint_refuses(
    ask: Callable[..., TestResponse], endpoint: Sink, create: Callable[..., None], deliver: Callable[[], int]
) -> None:
    create("poison", "2")
    endpoint.mode = "400"
    deliver()
    endpoint.mode = "ok"
    assert ask("POST", "/a/retry?skip=true").json["waiting"] == 1  # type: ignore[index]
    deliver()
    assert titles(endpoint.accepted) == ["2"]


def test_gone_pauses_at_once(
    ask: Callable[..., TestResponse], endpoint: Sink, create: Callable[..., None], deliver: Callable[[], int]
) -> None:
    create("1")
    endpoint.mode = "410"
    deliver()
    assert ask("GET").json["webhooks"][0]["state"] == "paused"  # type: ignore[index]


def test_one_endpoint_does_not_hold_up_another(
    ask: Callable[..., TestResponse], endpoint: Sink, create: Callable[..., None], deliver: Callable[[], int]
) -> None:
    with sink() as other:
        ask("PUT", "/b", {"url": other.url, "types": [], "secret": SECOND})
        create("1")
        endpoint.mode = "500"
        assert deliver() == 1
        assert titles(other.accepted) == ["1"]


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


def test_an_event_of_a_transaction_that_rolls_back_is_not_sent(
    endpoint: Sink, database: Database, deliver: Callable[[], int]
) -> None:
    with database.engine.connect() as db:
        db.exec_driver_sql("BEGIN")
        append_notifications(db, [Draft("42", content())], datetime.now(UTC))
        db.exec_driver_sql("ROLLBACK")
    assert deliver() == 0
    assert endpoint.got == []


def test_two_relays_share_the_endpoints_without_repeats(
    endpoint: Sink, create: Callable[..., None], settings: Settings
) -> None:
    stop = threading.Event()
    databases = [Database(settings.database_url) for _ in range(2)]
    relays = [threading.Thread(target=relay.run, args=(settings, database, stop)) for database in databases]
    for running in relays:
        running.start()
    try:
        for number in range(30):
            create(str(number))
        wait_until(lambda: len(endpoint.accepted) >= 30, BOUND, lambda: f"accepted {titles(endpoint.accepted)}")
    finally:
        stop.set()
        for running in relays:
            running.join()
        for opened in databases:
            opened.close()
    assert titles(endpoint.got) == [str(number) for number in range(30)]


def test_a_killed_relays_event_is_sent_again_under_its_id(
    endpoint: Sink,
    create: Callable[..., None],
    settings: Settings,
    database: Database,
    request: pytest.FixtureRequest,
) -> None:
    environ = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": settings.database_url,
        "GRIP_URL": settings.grip_url[0],
        "PUSHPIN_SIG_KEY": settings.pushpin_sig_key,
        "OUTBOUND_PRIVATE_HOSTS": "127.0.0.1",
    }
    create("1", "2", "3")
    running: list[subprocess.Popen[bytes]] = []
    request.addfinalizer(lambda: list(map(subprocess.Popen.kill, running)))  # also after a failure

    def kill(_: Got) -> None:
        if len(endpoint.got) == 2:
            running[0].send_signal(signal.SIGKILL)
            running[0].wait()

    endpoint.before_answer = kill
    for _ in range(2):
        running.append(subprocess.Popen([sys.executable, "-m", "shirase", "relay"], env=environ))
        if len(running) == 1:
            wait_until(lambda: running[0].poll() is not None, BOUND, "the relay was not killed")
            make_due(database)  # as if the claim had lapsed
    wait_until(lambda: titles(endpoint.accepted)[-1:] == ["3"], BOUND, lambda: f"got {titles(endpoint.got)}")
    running[1].terminate()
    assert running[1].wait(BOUND) == 0
    ids: dict[str, set[str]] = {}
    for post, title in zip(endpoint.got, titles(endpoint.got), strict=True):
        ids.setdefault(title, set()).add(post.headers["webhook-id"])
    assert [len(ids[title]) for title in ("1", "2", "3")] == [1, 1, 1]
    assert titles(endpoint.got).count("2") == 2


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


def test_what_was_accepted_is_recorded_after_an_outage(
    endpoint: Sink, create: Callable[..., None], deliver: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the database is unavailable for a moment, and also when the queue can then not be read any more."""
    create("1", "2")
    keep, failures = webhooks.keep, iter([DatabaseUnavailable("down"), None, DatabaseUnavailable("down")])

    def failing(*arguments: Any) -> bool:
        if error := next(failures, None):
            raise error
        return keep(*arguments)

    monkeypatch.setattr(relay, "PAUSE", 0.01)
    monkeypatch.setattr(webhooks, "keep", failing)
    assert deliver() == 2
    create("3")
    assert deliver() == 1
    assert titles(endpoint.got) == ["1", "2", "3"]


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
