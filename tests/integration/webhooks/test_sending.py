"""Webhooks: signed, in order, at least once under the same id, whatever the endpoint and the relay do."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from werkzeug.test import TestResponse

from shirase.errors import DatabaseUnavailable
from shirase.inbox import retract
from shirase.proxy.publisher import Publisher
from shirase.relay import webhooks as relay
from shirase.settings import Settings
from shirase.store import webhooks
from shirase.store.append import append_notifications
from shirase.store.database import Database
from shirase.types import Draft
from tests.integration.webhooks.sending import BOUND, FIRST, SECOND, make_due, titles
from tests.support.content import content
from tests.support.loop_thread import wait_until
from tests.support.sink import Got, Sink, sink


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
