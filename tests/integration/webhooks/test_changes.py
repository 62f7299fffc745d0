"""Webhooks that an operator changes, and notifications that change, while a queue is being sent."""

from collections.abc import Callable

import pytest
from sqlalchemy import text
from werkzeug.test import TestResponse

from shirase.inbox import retract, users
from shirase.proxy.publisher import Publisher
from shirase.relay import webhooks as relay
from shirase.settings import Settings
from shirase.store.database import Database
from tests.integration.webhooks.sending import titles
from tests.support.sink import Got, Sink


def test_a_skip_drops_no_event_that_was_not_tried(
    ask: Callable[..., TestResponse], endpoint: Sink, create: Callable[..., None], deliver: Callable[[], int]
) -> None:
    create("poison", "2", "3")
    assert ask("POST", "/a/retry?skip=true").json["errors"][0]["field"] == "skip"  # type: ignore[index]
    endpoint.mode = "400"
    deliver()
    assert [ask("POST", "/a/retry?skip=true").status_code for _ in range(2)] == [200, 422]
    endpoint.mode = "ok"
    deliver()
    assert titles(endpoint.accepted) == ["2", "3"]


def test_a_skip_drops_what_failed_not_what_is_committed_later(
    ask: Callable[..., TestResponse],
    endpoint: Sink,
    create: Callable[..., None],
    deliver: Callable[[], int],
    database: Database,
) -> None:
    """A long transaction of PostgreSQL may commit a lower id after a higher one was sent."""
    create("late", user="43")
    create("poison")
    names = "id, webhook_id, user_id, seq, tag"
    with database.transaction() as db:
        taken = db.execute(text(f"DELETE FROM shirase_webhook_queue WHERE user_id = '43' RETURNING {names}"))  # noqa: S608
        late = dict(taken.mappings().one())
    endpoint.mode = "400"
    deliver()
    with database.transaction() as db:
        values = ", ".join(f":{name}" for name in late)
        db.execute(text(f"INSERT INTO shirase_webhook_queue ({names}) VALUES ({values})"), late)  # noqa: S608
    endpoint.mode = "ok"
    assert ask("POST", "/a/retry?skip=true").json["waiting"] == 1  # type: ignore[index]
    deliver()
    assert titles(endpoint.accepted) == ["late"]


@pytest.mark.parametrize("change", ["put", "retry"])
@pytest.mark.parametrize("mode", ["500", "410"])
def test_a_failure_does_not_count_after_a_change_of_the_endpoint(
    mode: str,
    change: str,
    ask: Callable[..., TestResponse],
    endpoint: Sink,
    create: Callable[..., None],
    deliver: Callable[[], int],
) -> None:
    create("1")
    changed: list[int] = []

    def meanwhile(_: Got) -> None:
        endpoint.before_answer = lambda _: None
        body = {"url": f"{endpoint.url}/new", "types": []}
        changed.append((ask("PUT", "/a", body) if change == "put" else ask("POST", "/a/retry")).status_code)

    endpoint.mode, endpoint.before_answer = mode, meanwhile
    deliver()
    [state] = ask("GET").json["webhooks"]  # type: ignore[index]
    assert (changed, state["state"], state["attempts"], state["reason"]) == ([200], "active", 0, None)
    endpoint.mode = "ok"
    assert deliver() == 1  # at once
    assert [post.path for post in endpoint.got] == ["/in", "/new" if change == "put" else "/in"]


def test_a_turn_ends_when_its_endpoint_is_changed(
    ask: Callable[..., TestResponse],
    endpoint: Sink,
    create: Callable[..., None],
    deliver: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(relay, "RECORD", 0.0)
    create("1", "2")

    def meanwhile(_: Got) -> None:
        endpoint.before_answer = lambda _: None
        ask("PUT", "/a", {"url": f"{endpoint.url}/new", "types": []})

    endpoint.before_answer = meanwhile
    assert [deliver(), deliver()] == [1, 1]
    assert [post.path for post in endpoint.got] == ["/in", "/new"]


def test_what_is_retracted_or_erased_during_a_turn_is_not_sent(
    endpoint: Sink,
    create: Callable[..., None],
    deliver: Callable[[], int],
    database: Database,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nor an outdated text: what was read a moment ago is read again."""
    monkeypatch.setattr(relay, "CURRENT", 0.0)
    create("1")
    create("retracted", key="k")
    create("old", key="n")
    create("erased", user="43")
    create("last")

    def meanwhile(_: Got) -> None:
        endpoint.before_answer = lambda _: None
        retract.retract_from(database, Publisher(settings), "k", "42")
        users.erase(database, Publisher(settings), "43")
        create("new", key="n")

    endpoint.before_answer = meanwhile
    deliver()
    deliver()
    assert titles(endpoint.got) == ["1", "new", "last", "new"]
    with database.autocommit() as db:
        assert db.execute(text("SELECT count(*) FROM shirase_webhook_queue")).scalar_one() == 0
