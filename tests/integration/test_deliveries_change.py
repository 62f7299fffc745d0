"""Deliveries whose notification or whose user's quiet hours change while they wait or are being sent."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from sqlalchemy import text

from shirase.access.tokens import ADMIN, WRITE
from shirase.proxy.publisher import Publisher
from shirase.relay import deliveries as relay
from shirase.relay import repair
from shirase.relay.channels import Failed, Item, Outcome, Refused, Sent, Split
from shirase.run.cli import main
from shirase.settings import Settings
from shirase.store import claims, deliveries
from shirase.store.database import Database
from shirase.types import CANCELLED, DEAD, HELD, PENDING, SENT, Delivery, DeliveryOutcome
from tests.support.letterbox import Letterbox
from tests.support.loop_thread import wait_until

Put = Callable[..., Any]
MAIL = {"channel": "email"}
BOUND = 30.0


@pytest.fixture
def put(client: FlaskClient, token: Callable[..., str]) -> Put:
    def put(path: str, body: Any, user: str = "service", scope: str = WRITE) -> Any:
        answer = client.put(f"/api/{path}", json=body, headers={"Authorization": f"Bearer {token(user, scope)}"})
        assert answer.status_code in (200, 201), answer.json
        return answer.json

    return put


def of_type(put: Put, *channels: dict[str, str]) -> None:
    put("types/a.b", {"label": "A", "channels": channels}, scope=ADMIN)


def replace(put: Put, title: str, **more: Any) -> int:
    body = put("notifications/keys/k", {"user_id": "42", "type": "a.b", "title": title, "message": "", **more})
    return int(body["id"])


def prefer_quiet(put: Put, begins: int | None, ends: int = 0) -> None:
    """Quiet hours by hours from now."""
    now = datetime.now(UTC)
    starts, end = (f"{now + timedelta(hours=hours):%H:%M}" for hours in (begins or 0, ends))
    quiet = {"from": starts, "to": end, "timezone": "UTC"}
    put("preferences", {"rules": [], "quiet": None if begins is None else quiet}, "42", "")


def of(database: Database, number: int) -> list[Delivery]:
    with database.autocommit() as db:
        return deliveries.of_notification(db, number)


def make_due(database: Database, **ago: int) -> None:
    with database.transaction() as db:
        db.execute(text("UPDATE shirase_deliveries SET due_at = :due"), {"due": moment(db, **ago)})


def moment(db: Any, **ago: int) -> Any:
    then = datetime.now(UTC) - timedelta(**ago)
    return then.strftime("%Y-%m-%dT%H:%M:%S.%fZ") if db.dialect.name == "sqlite" else then


def on(channel: str, answer: Callable[[Item], Outcome] = lambda _: Sent()) -> Letterbox:
    box = Letterbox(answer)
    box.name = channel
    return box


def is_waiting(database: Database) -> bool:
    """Whether a transaction waits for a row of another."""
    waiting = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with database.autocommit() as db:
        return bool(db.execute(text(waiting)).all())


def titles(box: Letterbox) -> list[str]:
    return [item.notification.content.title for item in box.sent]


def retry(database_url: str) -> list[str]:
    done = CliRunner(env={"DATABASE_URL": database_url}).invoke(main, ["deliveries", "retry"])
    assert done.exit_code == 0, done.output
    return list(done.output.splitlines())


def test_a_replace_is_delivered_on_each_channel_without_one(put: Put, database: Database) -> None:
    of_type(put, {"channel": "web_push"}, {**MAIL, "after": "10m"})
    push, mail = on("web_push"), on("email")
    for title in "abc":
        number = replace(put, title, fold=title == "c")
        relay.deliver(database, push)
    assert titles(push) == ["a", "b", "c"]
    assert [item.channel for item in of(database, number) if item.state == PENDING] == ["email"]
    make_due(database)
    relay.deliver(database, mail)
    assert titles(mail) == ["c"]


def test_a_quiet_replace_is_not_delivered_again(put: Put, database: Database) -> None:
    of_type(put, MAIL)
    number, box = replace(put, "a"), on("email")
    relay.deliver(database, box)
    replace(put, "b", quiet=True)
    assert [item.state for item in of(database, number)] == [SENT]


@pytest.mark.parametrize("outcome", [Sent(), Failed("busy")])
def test_a_replace_while_it_is_sent_is_delivered_too(outcome: Outcome, put: Put, database: Database) -> None:
    of_type(put, MAIL)
    number = replace(put, "a")

    def answer(item: Item) -> Outcome:
        if item.notification.content.title == "b":
            return Sent()
        replace(put, "b")
        return outcome

    box = on("email", answer)
    relay.deliver(database, box)
    relay.deliver(database, box)
    first = SENT if outcome == Sent() else CANCELLED  # the old content is not tried again
    assert [item.state for item in of(database, number)] == [first, SENT]
    assert titles(box) == ["a", "b"]


def test_an_address_that_fails_withholds_no_replace_from_others(put: Put, database: Database) -> None:
    of_type(put, MAIL)
    answers: dict[str | None, Outcome] = {None: Split(["good", "bad"]), "good": Sent(), "bad": Failed("busy")}
    box = on("email", lambda item: answers[item.delivery.target])
    number = replace(put, "a")
    relay.deliver(database, box)
    replace(put, "b")
    relay.deliver(database, box)
    reached = [(item.delivery.target, item.notification.content.title) for item in box.sent if item.delivery.target]
    assert reached == [("good", "a"), ("bad", "a"), ("good", "b")]
    [waiting] = [item for item in of(database, number) if item.state == PENDING]
    assert waiting.target == "bad"
    answers["bad"] = Sent()
    make_due(database)
    relay.deliver(database, box)
    assert titles(box)[-1] == "b"
    assert [item.state for item in of(database, number)] == [SENT] * 3


def test_quiet_hours_that_are_switched_off_release_mail(put: Put, database: Database) -> None:
    of_type(put, MAIL)
    prefer_quiet(put, -1, 2)
    number, box = replace(put, "a"), on("email")
    relay.deliver(database, box)
    assert ([item.reason for item in of(database, number)], box.sent) == ([HELD], [])
    prefer_quiet(put, None)
    relay.deliver(database, box)
    assert titles(box) == ["a"]


def test_quiet_hours_switched_off_after_the_reading_hold_nothing(
    put: Put, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The relay has read them, and has not recorded the delivery yet."""
    of_type(put, MAIL)
    prefer_quiet(put, -1, 2)
    replace(put, "a")
    standings = claims.standings

    def then_switch_off(*arguments: Any) -> Any:
        read = standings(*arguments)
        prefer_quiet(put, None)
        return read

    monkeypatch.setattr(claims, "standings", then_switch_off)
    box = on("email")
    relay.deliver(database, box)
    relay.deliver(database, box)
    assert titles(box) == ["a"]


def test_quiet_hours_switched_off_at_the_record_hold_nothing(put: Put, database: Database) -> None:
    """The change waits for the record, and then releases it."""
    of_type(put, MAIL)
    prefer_quiet(put, -1, 2)
    number, box, now = replace(put, "a"), on("email"), datetime.now(UTC)
    with database.transaction() as db:
        [claimed] = claims.claim(db, "email", now, lease=relay.LEASE, limit=1)
    changing = threading.Thread(target=prefer_quiet, args=(put, None))
    with database.transaction() as db:
        held = DeliveryOutcome(PENDING, HELD, now + timedelta(hours=2), counts=False)
        claims.finish(db, {claimed.id: held}, now)
        changing.start()
        if db.dialect.name != "sqlite":
            wait_until(lambda: is_waiting(database), BOUND, "the change does not wait")
    changing.join(BOUND)
    relay.deliver(database, box)
    assert (titles(box), [item.state for item in of(database, number)]) == (["a"], [SENT])


def test_quiet_hours_that_change_hold_until_the_new_end(put: Put, database: Database) -> None:
    of_type(put, MAIL)
    prefer_quiet(put, -1, 2)
    number, box = replace(put, "a"), on("email")
    ends = []
    for hours in (2, 1, 3):
        prefer_quiet(put, -1, hours)
        relay.deliver(database, box)
        ends += [round((item.due_at - datetime.now(UTC)) / timedelta(hours=1)) for item in of(database, number)]
    assert (ends, box.sent) == ([2, 1, 3], [])


def test_new_quiet_hours_release_nothing_that_is_not_due(put: Put, database: Database) -> None:
    of_type(put, {**MAIL, "after": "1h"})
    number = replace(put, "a")
    due = [item.due_at for item in of(database, number)]
    prefer_quiet(put, -1, 2)
    prefer_quiet(put, None)
    assert [item.due_at for item in of(database, number)] == due


def test_a_day_of_failures_begins_after_quiet_hours(put: Put, database: Database) -> None:
    of_type(put, MAIL)
    prefer_quiet(put, -1, 22)
    number, box = replace(put, "a"), on("email", lambda _: Failed("busy"))
    relay.deliver(database, box)
    [held] = of(database, number)
    assert (held.state, held.attempts, held.tried_at) == (PENDING, 0, None)
    prefer_quiet(put, None)
    relay.deliver(database, box)
    assert [item.state for item in of(database, number)] == [PENDING]
    with database.transaction() as db:
        day = {"then": moment(db, days=1)}
        db.execute(text("UPDATE shirase_deliveries SET tried_at = :then, due_at = :then"), day)
    relay.deliver(database, box)
    assert [item.state for item in of(database, number)] == [DEAD]


def test_what_has_waited_for_a_day_is_dead_and_can_be_retried(put: Put, database: Database, database_url: str) -> None:
    """As if mail was configured again after weeks."""
    of_type(put, MAIL)
    number, box = replace(put, "a"), on("email")
    make_due(database, days=20)
    relay.deliver(database, box)
    [waited] = of(database, number)
    assert (waited.state, waited.reason, waited.attempts, box.sent) == (DEAD, "it waited for a day", 0, [])
    assert retry(database_url) == ["1 are tried again"]
    relay.deliver(database, box)
    assert titles(box) == ["a"]


def test_what_has_waited_for_hours_is_sent(put: Put, database: Database) -> None:
    of_type(put, MAIL)
    replace(put, "a")
    make_due(database, hours=23)
    relay.deliver(database, box := on("email"))
    assert titles(box) == ["a"]


def test_a_stream_whose_token_has_expired_is_no_connection(put: Put, database: Database) -> None:
    """Its row may outlive it, if its node vanished."""
    of_type(put, {**MAIL, "unless": "connected"})
    names = "connection_id, user_id, opened_at, last_seen, expires_at, user_agent, address"
    row = text(f"INSERT INTO shirase_connections ({names}) VALUES ('c', '42', :past, :past, :past, '', '')")  # noqa: S608
    with database.transaction() as db:
        db.execute(row, {"past": moment(db, seconds=1)})
    replace(put, "a")
    relay.deliver(database, box := on("email"))
    assert titles(box) == ["a"]


def test_unread_again_sends_nothing_more(
    put: Put, client: FlaskClient, token: Callable[..., str], database: Database
) -> None:
    of_type(put, MAIL)
    number = replace(put, "a")
    for state in ("read", "unread"):
        headers = {"Authorization": f"Bearer {token('42')}"}
        assert client.post(f"/api/notifications/{state}", json={"ids": [number]}, headers=headers).status_code == 200
    relay.deliver(database, box := on("email"))
    assert ([item.state for item in of(database, number)], box.sent) == ([CANCELLED], [])


@pytest.mark.parametrize("first", ["delivered", "removed", "replaced"])
def test_an_expired_notification_ends_its_deliveries_as_expired(
    first: str, put: Put, database: Database, settings: Settings
) -> None:
    """Whatever comes first after the end: the delivery, the removal, or a new notification of the same key."""
    of_type(put, MAIL)
    number = replace(put, "a", expires_at=(datetime.now(UTC) + timedelta(days=1)).isoformat())
    with database.transaction() as db:
        db.execute(text("UPDATE shirase_notifications SET expires_at = :past"), {"past": moment(db, hours=1)})
    box = on("email")
    match first:
        case "delivered":
            relay.deliver(database, box)
        case "removed":
            assert repair.remove_expired(database, Publisher(settings)) == 1
        case "replaced":
            assert replace(put, "b") != number
    assert [(item.state, item.reason) for item in of(database, number)] == [(CANCELLED, "expired")]
    relay.deliver(database, box)
    assert titles(box) == (["b"] if first == "replaced" else [])


@pytest.mark.parametrize("second", ["sent", "waiting"])
def test_a_retry_sends_no_replaced_content_again(second: str, put: Put, database: Database, database_url: str) -> None:
    """Neither beside a replacement that was sent, nor beside one that still waits."""
    of_type(put, MAIL)
    refusing, box = on("email", lambda _: Refused("no such mailbox")), on("email")
    number = replace(put, "a")
    relay.deliver(database, refusing)
    replace(put, "b")
    if second == "sent":
        relay.deliver(database, box)
    replaced = "1 are cancelled: their notifications were replaced, and have later deliveries"
    assert retry(database_url) == ["0 are tried again", replaced]
    relay.deliver(database, box)
    assert titles(box) == ["b"]
    assert [(item.state, item.reason) for item in of(database, number)] == [(CANCELLED, "replaced"), (SENT, None)]


def test_a_retry_sends_the_latest_content_once(put: Put, database: Database, database_url: str) -> None:
    """Also if all its deliveries are dead, and to each address."""
    of_type(put, MAIL)
    answer: dict[str | None, Outcome] = {None: Split(["one", "two"])}
    box = on("email", lambda item: answer.get(item.delivery.target, Refused("no such address")))
    for title in "ab":
        replace(put, title)
        relay.deliver(database, box)
    assert retry(database_url)[0] == "2 are tried again"
    box.sent.clear()
    answer |= {"one": Sent(), "two": Sent()}
    relay.deliver(database, box)
    assert [(item.delivery.target, item.notification.content.title) for item in box.sent] == [
        ("one", "b"),
        ("two", "b"),
    ]


def test_a_retry_tries_each_step_of_a_policy(put: Put, database: Database, database_url: str) -> None:
    of_type(put, MAIL, {**MAIL, "after": "10m"})
    replace(put, "a")
    relay.deliver(database, on("email", lambda _: Refused("no such mailbox")))
    assert retry(database_url) == ["1 are tried again"]
