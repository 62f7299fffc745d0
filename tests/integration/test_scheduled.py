"""Notifications for a time to come: kept, listed, cancelled, and sent once, however many relays there are."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from shirase.access.tokens import WRITE
from shirase.inbox import inbox, scheduled
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import keyed, pending
from shirase.store import scheduled as store
from shirase.store.database import Database
from shirase.types import Draft
from tests.support.content import content

LATER = "2100-01-01T00:00:00.000000Z"
NEW = {"user_id": "42", "type": "a.b", "title": "T", "message": "M", "send_at": LATER}

Ask = Callable[..., TestResponse]


@pytest.fixture
def publisher(settings: Settings) -> Publisher:
    return Publisher(settings)


@pytest.fixture
def ask(client: FlaskClient, token: Callable[..., str]) -> Ask:
    def send(method: str, path: str, body: Any = None, user: str = "svc", **headers: str) -> TestResponse:
        named = {"Authorization": f"Bearer {token(user, WRITE)}", **headers}
        return client.open(f"/api{path}", method=method, json=body, headers=named)

    return send


def make_due(database: Database) -> None:
    with database.transaction() as db:
        db.execute(text("UPDATE shirase_scheduled SET send_at = :past"), {"past": "2001-01-01T00:00:00.000000Z"})


def titles(database: Database, user: str = "42") -> list[str]:
    return [notification.content.title for notification in inbox.page(database, user, limit=1000)[0]]


def test_a_create_for_later_is_kept_and_not_shown(ask: Ask, database: Database) -> None:
    answer: Any = ask("POST", "/notifications", NEW)
    assert (answer.status_code, answer.json["send_at"]) == (202, LATER)
    assert titles(database) == []
    [kept] = ask("GET", "/scheduled").json["scheduled"]  # type: ignore[index]
    assert (kept["scheduled_id"], kept["user_id"], kept["title"]) == (answer.json["scheduled_id"], "42", "T")
    assert ask("GET", "/scheduled", user="other").json == {"scheduled": [], "next_after": None}


def test_what_is_due_is_sent_whole(ask: Ask, database: Database, publisher: Publisher) -> None:
    fields = {"payload": {"x": [1]}, "actor": {"name": "Ann"}, "expires_at": "2100-01-02T00:00:00.000000Z", "key": "k"}
    ask("POST", "/notifications", {**NEW, **fields})
    assert scheduled.send_due(database, publisher) == 0
    make_due(database)
    with database.autocommit() as db:
        assert pending.anything(db, datetime.now(UTC))
    assert scheduled.send_due(database, publisher) == 1
    [sent] = ask("GET", "/notifications", user="42").json["notifications"]  # type: ignore[index]
    assert {name: sent[name] for name in fields} == fields
    assert scheduled.send_due(database, publisher) == 0


def test_one_that_is_due_replaces_and_folds_by_key(ask: Ask, database: Database, publisher: Publisher) -> None:
    ask("PUT", "/notifications/keys/k", {**NEW, "send_at": None, "title": "1"})
    ask("PUT", "/notifications/keys/k", {**NEW, "title": "2", "fold": True})
    make_due(database)
    scheduled.send_due(database, publisher)
    [sent] = ask("GET", "/notifications", user="42").json["notifications"]  # type: ignore[index]
    assert (sent["title"], sent["count"], sent["revision"]) == ("2", 2, 2)


def test_cancelling_by_id_or_key_sends_nothing(ask: Ask, database: Database, publisher: Publisher) -> None:
    first: Any = ask("POST", "/notifications", NEW).json
    ask("PUT", "/notifications/keys/a", NEW)
    ask("PUT", "/notifications/keys/b", NEW)
    path = f"/scheduled/{first['scheduled_id']}"
    assert ask("DELETE", path, user="other").status_code == 404
    assert [ask("DELETE", path).status_code for _ in range(2)] == [204, 404]
    ask("DELETE", "/notifications/keys/a?user_id=42")
    ask("DELETE", "/notifications/keys/b")
    make_due(database)
    assert scheduled.send_due(database, publisher) == 0
    assert titles(database) == []


def test_a_repeated_request_schedules_once(ask: Ask) -> None:
    created, repeated = (ask("POST", "/notifications", NEW, **{"Idempotency-Key": "one"}) for _ in range(2))
    assert created.json == repeated.json
    assert repeated.headers["Idempotency-Replayed"] == "true"
    assert len(ask("GET", "/scheduled").json["scheduled"]) == 1  # type: ignore[index]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"send_at": "2020-01-01T00:00:00Z"}, "send_at"),
        ({"send_at": "2100-01-01T00:00:00"}, "send_at"),
        ({"send_at": 4102444800}, "send_at"),
        ({"expires_at": "2099-01-01T00:00:00Z"}, "send_at"),
    ],
)
def test_a_wrong_time_is_refused(ask: Ask, change: dict[str, Any], field: str) -> None:
    answer: Any = ask("POST", "/notifications", {**NEW, **change})
    assert (answer.status_code, answer.json["errors"][0]["field"]) == (422, field)


def test_batch_and_broadcast_take_no_send_at(ask: Ask) -> None:
    batch: Any = ask("POST", "/notifications/batch", {"notifications": [NEW]})
    assert (batch.status_code, batch.json["errors"][0]["field"]) == (422, "notifications[0].send_at")


def test_several_relays_send_each_once(database: Database, settings: Settings) -> None:
    with database.transaction() as db:
        for number in range(300):
            draft = Draft(f"user {number % 7}", content(title=str(number)))
            store.add(db, "svc", draft, datetime.now(UTC) - timedelta(seconds=1), datetime.now(UTC))
    relays = [Database(settings.database_url) for _ in range(3)]
    with ThreadPoolExecutor(3) as threads:
        for done in [threads.submit(scheduled.send_due, relay, Publisher(settings)) for relay in relays]:
            done.result()
    for relay in relays:
        scheduled.send_due(relay, Publisher(settings))
        relay.close()
    sent = [title for user in range(7) for title in titles(database, f"user {user}")]
    assert sorted(map(int, sent)) == list(range(300))


def test_a_user_whose_log_is_locked_holds_up_no_other(postgres_url: str, publisher: Publisher) -> None:
    database = Database(postgres_url)
    with database.transaction() as db:
        keyed.put(db, [Draft("locked", content(key="k"))], datetime.now(UTC))
    for user in ("free", "locked"):
        past = datetime.now(UTC) - timedelta(seconds=1)
        with database.transaction() as db:
            store.add(db, "svc", Draft(user, content(key="s")), past, past)
    with database.transaction() as db:
        db.execute(text("SELECT * FROM shirase_streams WHERE user_id = 'locked' FOR UPDATE"))
        assert scheduled.send_due(database, publisher) == 1
    assert scheduled.send_due(database, publisher) == 1
    assert (len(titles(database, "free")), len(titles(database, "locked"))) == (1, 2)
    database.close()


def test_one_that_has_expired_meanwhile_is_dropped(ask: Ask, database: Database, publisher: Publisher) -> None:
    ask("POST", "/notifications", {**NEW, "expires_at": "2100-01-02T00:00:00Z"})
    with database.transaction() as db:
        kept = json.loads(db.execute(text("SELECT draft FROM shirase_scheduled")).scalar_one())
        kept["content"]["expires_at"] = "2002-01-01T00:00:00.000000Z"
        db.execute(text("UPDATE shirase_scheduled SET draft = :draft"), {"draft": json.dumps(kept)})
    make_due(database)
    assert scheduled.send_due(database, publisher) == 1
    assert titles(database) == []
