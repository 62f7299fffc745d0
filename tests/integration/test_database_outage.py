"""An unavailable, slow or locked database: 503 within the timeout, nothing half done, and recovery on its return."""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import make_url
from werkzeug.test import TestResponse

from shirase.access.tokens import WRITE, mint
from shirase.errors import DatabaseUnavailable
from shirase.flask.app import create_app
from shirase.inbox import inbox
from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from shirase.settings import Settings
from shirase.store import database as databases
from shirase.store import idempotency, log
from shirase.store.database import Database
from shirase.store.migrate import migrate
from tests.support.control_port import ControlPort, control_port
from tests.support.forwarder import Forwarder, Mode
from tests.support.loop_thread import LoopThread, wait_until

NEW = {"user_id": "42", "type": "a.b", "title": "T", "message": "M"}
TIMEOUT = 1.0


@pytest.fixture
def network() -> Iterator[LoopThread]:
    with LoopThread() as thread:
        yield thread


@pytest.fixture
def line(network: LoopThread, postgres_url: str) -> Iterator[Forwarder]:
    """A forwarder between the application and PostgreSQL."""
    with closing(Forwarder(network, make_url(postgres_url).port)) as forwarder:
        yield forwarder


@pytest.fixture
def settings(line: Forwarder, postgres_url: str) -> Settings:
    url = make_url(postgres_url).set(port=line.port).render_as_string(hide_password=False)
    return Settings(
        database_url=url,
        grip_url=("http://127.0.0.1:1",),
        pushpin_sig_key="k" * 32,
        jwt_secret="j" * 32,
        database_timeout=TIMEOUT,
    )


@pytest.fixture
def port() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


@pytest.fixture
def direct(postgres_url: str) -> Iterator[Database]:
    """The same database, without the forwarder."""
    with closing(Database(postgres_url)) as database:
        yield database


def ask(app: Flask, method: str, path: str = "", body: Any = None, **headers: str) -> TestResponse:
    bearer = {"Authorization": f"Bearer {mint(app.extensions['shirase'].settings, '42', scope=WRITE)}"}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return app.test_client().open(f"/api/notifications{path}", method=method, json=body, headers=bearer | named)


def cut(line: Forwarder, mode: Mode) -> None:
    line.mode = mode
    line.cut()


def unpublished(database: Database) -> int:
    with database.autocommit() as db:
        return len(log.unpublished(db, ("", 0), 100, datetime.now(UTC)))


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.CUT])
def test_requests_are_503_until_the_database_is_back(app: Flask, line: Forwarder, mode: Mode) -> None:
    made: Any = ask(app, "POST", "", NEW).json
    cut(line, mode)
    for answer in (
        ask(app, "GET"),
        ask(app, "POST", "", NEW),
        ask(app, "POST", "/read", {"ids": [made["id"]]}),
        ask(app, "DELETE", f"/{made['id']}"),
    ):
        assert (answer.status_code, answer.content_type) == (503, "application/problem+json")
        assert answer.headers["Retry-After"] == "1"
        assert "127.0.0.1" not in answer.text
    line.mode = Mode.PASS
    body: Any = ask(app, "GET").json
    assert [notification["id"] for notification in body["notifications"]] == [made["id"]]
    assert body["unread_count"] == 1
    assert ask(app, "POST", "", NEW).status_code == 201


def test_a_silent_database_is_waited_for_until_the_timeout(app: Flask, line: Forwarder) -> None:
    assert ask(app, "POST", "", NEW).status_code == 201
    cut(line, Mode.HANG)
    assert ask(app, "POST", "", NEW).status_code == 503
    line.mode = Mode.PASS
    assert ask(app, "GET", "/unread-count").json == {"unread_count": 1}


def test_requests_do_not_meet_dead_connections(app: Flask, line: Forwarder) -> None:
    assert ask(app, "GET").status_code == 200
    line.cut()
    assert ask(app, "GET").status_code == 200


def test_an_outage_between_commit_and_publish_fails_no_request(
    settings: Settings, line: Forwarder, port: ControlPort, direct: Database, caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(replace(settings, grip_url=(port.url,)))
    with closing(app.extensions["shirase"].database):
        assert ask(app, "POST", "", NEW).status_code == 201
        port.on_post = lambda: cut(line, Mode.REFUSE)
        with caplog.at_level(logging.WARNING):
            assert ask(app, "POST", "", NEW).status_code == 201
    assert "were marked as published" in caplog.text
    assert port.seqs == [1, 2]
    assert unpublished(direct) == 1
    port.on_post = lambda: None
    assert repair.repair(direct, Publisher(replace(settings, grip_url=(port.url,)))).events == 1
    assert unpublished(direct) == 0


def test_a_key_that_another_request_holds_for_long_is_409(app: Flask, direct: Database) -> None:
    with direct.transaction() as db:
        idempotency.claim(db, "42", "k", "fingerprint", datetime.now(UTC))
        answer = ask(app, "POST", "", NEW, Idempotency_Key="k")
    assert (answer.status_code, answer.headers["Retry-After"]) == (409, "1")
    assert ask(app, "POST", "", {**NEW, "title": "other"}, Idempotency_Key="k").status_code == 422


def test_a_vanished_machine_does_not_keep_its_key_locked(app: Flask, postgres_url: str) -> None:
    def vanish(database: Database) -> None:
        """Begin the request, then vanish without closing the connection."""
        with database.transaction() as db:
            idempotency.claim(db, "42", "k", "fingerprint", datetime.now(UTC))
            wait_until(
                lambda: ask(app, "POST", "", NEW, Idempotency_Key="k").status_code == 201,
                20 * TIMEOUT,
                "the key is still held",
            )

    with closing(Database(postgres_url, TIMEOUT)) as database, pytest.raises(DatabaseUnavailable):
        vanish(database)


def test_a_log_that_another_transaction_holds_for_long_is_503(app: Flask, direct: Database) -> None:
    assert ask(app, "POST", "", NEW).status_code == 201
    with direct.transaction() as db:
        log.lock(db, ["42"])
        assert ask(app, "POST", "", NEW).status_code == 503
        assert ask(app, "POST", "/read-all").status_code == 503
        assert ask(app, "GET", "/unread-count").json == {"unread_count": 1}  # reads wait for nobody
    assert ask(app, "POST", "/read-all").json == {"updated": 1, "unread_count": 0}


def test_a_locked_sqlite_file_is_503_to_those_who_write_alone(settings: Settings, sqlite_url: str) -> None:
    app = create_app(replace(settings, database_url=sqlite_url, database_timeout=0.2))
    with closing(Database(sqlite_url)) as other, closing(app.extensions["shirase"].database):
        assert ask(app, "POST", "", NEW).status_code == 201
        with other.transaction():
            assert ask(app, "POST", "", NEW, Idempotency_Key="k").status_code == 503
            assert ask(app, "GET", "/unread-count").json == {"unread_count": 1}
        assert ask(app, "POST", "", NEW, Idempotency_Key="k").status_code == 201


def test_waiting_for_a_connection_ends_at_the_timeout(app: Flask) -> None:
    database: Database = app.extensions["shirase"].database
    taken = [database.engine.connect() for _ in range(2 * databases.POOL_SIZE)]
    assert ask(app, "GET").status_code == 503
    for connection in taken:
        connection.close()
    assert ask(app, "GET").status_code == 200


@pytest.mark.parametrize(
    "call",
    [
        lambda database: inbox.unread_count(database, "42"),
        lambda database: migrate(str(database.engine.url)),
    ],
)
def test_nothing_but_its_own_error_leaves_the_database(
    line: Forwarder, settings: Settings, call: Callable[..., Any]
) -> None:
    line.mode = Mode.REFUSE
    with closing(Database(settings.database_url, TIMEOUT)) as unreachable, pytest.raises(DatabaseUnavailable):
        call(unreachable)
