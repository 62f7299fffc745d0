"""Rate limits: one count per caller over all workers, and an answer that names when to retry."""

import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shirase.access import tokens
from shirase.access.rate_limits import CREATES, RateLimits
from shirase.access.tokens import WRITE
from shirase.flask.app import create_app
from shirase.settings import Settings
from shirase.web.operation import USER
from shirase.web.operations import SERVICE

NEW = {"user_id": "42", "type": "a.b", "title": "T", "message": "M"}
STREAM, POLL, TICKETS = "/api/sse/notifications", "/api/notifications/poll", "/api/sse/tickets"


@pytest.fixture
def settings(sqlite_url: str, tmp_path: Path) -> Settings:
    """Allow two of each per minute."""
    return Settings(
        database_url=sqlite_url,
        grip_url=("http://127.0.0.1:1",),
        pushpin_sig_key="k" * 32,
        jwt_secret="j" * 32,
        rate_limit_creates="2/minute",
        rate_limit_changes="2/minute",
        rate_limit_preferences="2/minute",
        rate_limit_connects="2/minute",
        rate_limit_tickets="2/minute",
        rate_limit_file=str(tmp_path / "counts"),
    )


@pytest.fixture
def ask(client: FlaskClient, settings: Settings) -> Callable[..., TestResponse]:
    signed = jwt.encode({"iss": "pushpin", "exp": int(time.time()) + 60}, settings.pushpin_sig_key, algorithm="HS256")

    def send(method: str, path: str, user: str = "svc", **headers: str) -> TestResponse:
        own = {"Authorization": f"Bearer {tokens.mint(settings, user, scope=WRITE)}", "Grip-Sig": signed}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.open(
            path, method=method, headers=own | named, json={"POST": NEW, "PUT": {"rules": []}}.get(method)
        )

    return send


Ask = Callable[..., TestResponse]


@pytest.mark.parametrize("access", [USER, WRITE])
def test_all_changes_by_users_and_producers_are_limited(access: str) -> None:
    changes = [endpoint for endpoint in SERVICE if endpoint.operation.access == access and endpoint.method != "GET"]
    assert changes
    assert [f"{endpoint.method} {endpoint.path}" for endpoint in changes if not endpoint.operation.rate] == []


@pytest.mark.parametrize(
    ("method", "path", "kind", "status"),
    [
        ("POST", "/api/notifications", "creates", 201),
        ("POST", "/api/notifications/read-all", "changes", 200),
        ("POST", "/api/notifications/seen", "changes", 200),
        ("PUT", "/api/preferences", "preferences", 200),
        ("GET", STREAM, "connects", 200),
        ("GET", POLL, "connects", 200),
        ("POST", TICKETS, "tickets", 201),
    ],
)
def test_a_429_has_a_retry_after(ask: Ask, method: str, path: str, kind: str, status: int) -> None:
    answers = [ask(method, path) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [status, status, 429]
    for answer, left in zip(answers, (1, 0, 0), strict=True):
        assert answer.headers["RateLimit-Policy"] == f'"{kind}";q=2;w=60'
        stands = re.fullmatch(rf'"{kind}";r={left};t=(\d+)', answer.headers["RateLimit"])
        assert stands
        assert 1 <= int(stands[1]) <= 60
    refused: Any = answers[2]
    assert refused.content_type == "application/problem+json"
    assert 1 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.json["status"] == 429
    assert ask(method, path, user="another").status_code == status  # another caller is not limited


def test_a_refused_create_writes_nothing(ask: Ask, client: FlaskClient, settings: Settings) -> None:
    for _ in range(4):
        ask("POST", "/api/notifications")
    mine = {"Authorization": f"Bearer {tokens.mint(settings, '42')}"}
    answer: Any = client.get("/api/notifications/unread-count", headers=mine).json
    assert answer == {"unread_count": 2}


def test_only_creates_count_against_the_limit_of_creates(ask: Ask) -> None:
    for _ in range(5):
        assert ask("GET", "/api/notifications/unread-count").status_code == 200
    assert ask("POST", "/api/notifications/batch").status_code == 422  # a refused attempt counts
    assert ask("POST", "/api/notifications").status_code == 201
    assert ask("POST", "/api/notifications/broadcast").status_code == 429


def test_who_is_not_let_in_is_not_counted(client: FlaskClient, ask: Ask) -> None:
    for _ in range(5):
        assert client.post(TICKETS, headers={"Authorization": "Bearer x"}).status_code == 401
    assert ask("POST", TICKETS).headers["RateLimit"].startswith('"tickets";r=1;')


def test_a_poll_that_the_proxy_repeats_is_one_poll(ask: Ask) -> None:
    held = ask("GET", POLL).headers["Grip-Channel"].replace("; prev-id=", "; last-id=")
    for _ in range(5):
        assert ask("GET", POLL, Grip_Last=held).status_code == 200
    assert ask("GET", POLL).status_code == 200
    assert ask("GET", POLL).status_code == 429


def test_a_limit_can_be_off(settings: Settings) -> None:
    limits = RateLimits(replace(settings, rate_limit_creates=None))
    assert limits.count(CREATES, "svc") is None


def test_whose_ids_look_alike_are_counted_apart(settings: Settings) -> None:
    limits = RateLimits(settings)
    alike = ["a", "a/1", "a/2/1/minute", "A", "a ", "á", "a\u0301", "%61", "creates/a"]
    for _ in range(2):
        for user in alike:
            usage = limits.count(CREATES, user)
            assert usage is not None
            assert not usage.is_over


def test_a_new_window_begins_when_the_old_one_ends(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = RateLimits(settings)
    begin = time.time()
    for later, over in ((0, [False, False, True]), (59, [True]), (61, [False, False, True])):
        monkeypatch.setattr(time, "time", lambda later=later: begin + later)
        assert [usage.is_over for _ in over if (usage := limits.count(CREATES, "svc"))] == over


def test_workers_count_together(settings: Settings) -> None:
    """Real processes at once: exactly the allowed number of many attempts passes."""
    many = replace(settings, rate_limit_creates="100/hour")
    with ProcessPoolExecutor(4, mp_context=get_context("spawn")) as pool:
        passed = list(pool.map(count_fifty, [many] * 4))
    assert sum(passed) == 100


def count_fifty(settings: Settings) -> int:
    limits = RateLimits(settings)
    return sum(not usage.is_over for _ in range(50) if (usage := limits.count(CREATES, "svc")))


def test_if_counting_fails_nobody_is_refused(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = RateLimits(replace(settings, rate_limit_file=str(tmp_path)))  # a directory is not a file
    assert limits.count(CREATES, "svc") is None
    assert "could not be counted" in caplog.text


@pytest.fixture
def app(settings: Settings) -> Iterator[Flask]:
    made = create_app(settings)
    yield made
    made.extensions["shirase"].database.close()
