"""Deliveries: claimed once, sent, tried again, cancelled with their notification, held back in quiet hours."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text, update

from shirase.errors import DatabaseUnavailable
from shirase.inbox import inbox, notifications, retract
from shirase.proxy.publisher import Publisher
from shirase.relay import deliveries as relay
from shirase.relay.channels import Failed, Item, Outcome, Refused, Sent, Skipped, Split
from shirase.run.cli import main
from shirase.settings import Settings
from shirase.store import claims, deliveries
from shirase.store.database import Database
from shirase.types import CANCELLED, DEAD, PENDING, SENT, SKIPPED, Delivery, Draft
from tests.support import read_races
from tests.support.content import content, made
from tests.support.letterbox import Letterbox

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
RACES = 400


@pytest.fixture
def publisher(settings: Settings) -> Publisher:
    return Publisher(settings)


@pytest.fixture
def create(database: Database, publisher: Publisher) -> Callable[..., int]:
    """Create a notification of a type whose policy is mail at once."""
    execute(
        database,
        "INSERT INTO shirase_types (type, label, description, category) VALUES ('a.b', 'A', '', 'c')",
        "INSERT INTO shirase_policies (type, step, channel, after) VALUES ('a.b', 0, 'email', 0)",
    )

    def create(user: str = "42", **fields: Any) -> int:
        body, _ = notifications.create(
            database, publisher, [Draft(user, content(**fields))], answer=lambda stored: str(made(stored[0]).id)
        )
        return int(body)

    return create


def execute(database: Database, *statements: str, **parameters: Any) -> None:
    with database.transaction() as db:
        for statement in statements:
            db.execute(text(statement), parameters)


def wait(database: Database, number: int, duration: timedelta) -> None:
    """Let so much time pass for its deliveries."""
    with database.transaction() as db:
        for delivery in deliveries.of_notification(db, number):
            times = {"created_at": delivery.created_at - duration, "due_at": delivery.due_at - duration}
            db.execute(update(claims.deliveries).where(claims.deliveries.c.id == delivery.id).values(times))


def of(database: Database, number: int) -> Delivery:
    with database.autocommit() as db:
        [delivery] = deliveries.of_notification(db, number)
    return delivery


def test_a_due_delivery_is_sent_once_with_its_notification(database: Database, create: Callable[..., int]) -> None:
    box, number = Letterbox(), create(title="hello")
    assert relay.deliver(database, box) == 1
    assert relay.deliver(database, box) == 0
    assert [(item.notification.id, item.notification.content.title) for item in box.sent] == [(number, "hello")]
    delivery = of(database, number)
    assert (delivery.state, delivery.attempts, delivery.uid) == (SENT, 1, box.sent[0].delivery.uid)
    assert delivery.ended_at is not None


def test_a_delay_is_counted_from_the_create(database: Database, create: Callable[..., int]) -> None:
    execute(database, "UPDATE shirase_policies SET after = 5400")
    delivery = of(database, create())
    assert delivery.due_at - delivery.created_at == timedelta(minutes=90)
    assert relay.deliver(database, Letterbox()) == 0


def test_a_type_without_a_policy_goes_to_the_inbox_alone(database: Database, create: Callable[..., int]) -> None:
    number = create(kind="other")
    with database.autocommit() as db:
        assert deliveries.of_notification(db, number) == []


def test_every_due_delivery_is_claimed_by_one_relay(database: Database, create: Callable[..., int]) -> None:
    numbers = [create(f"u{n % 7}") for n in range(100)]
    boxes = [Letterbox() for _ in range(4)]
    with ThreadPoolExecutor(4) as relays:
        list(relays.map(lambda box: relay.deliver(database, box), boxes))
    assert sorted(number for box in boxes for number in box.ids) == numbers


@pytest.mark.parametrize("end", ["read", "read all", "archived", "deleted", "retracted"])
def test_the_end_of_a_notification_cancels(
    end: str, database: Database, publisher: Publisher, create: Callable[..., int]
) -> None:
    number, other = create(key="k"), create("7")
    match end:
        case "read":
            inbox.mark_read(database, publisher, "42", [number])
        case "read all":
            inbox.mark_read(database, publisher, "42", None)
        case "archived":
            inbox.archive(database, publisher, "42", [number])
        case "deleted":
            inbox.delete(database, publisher, "42", number)
        case "retracted":
            retract.retract_from(database, publisher, "k", "42")
    assert of(database, number).state == CANCELLED
    box = Letterbox()
    relay.deliver(database, box)
    assert box.ids == [other]


def test_a_failure_is_tried_again_later_under_the_same_id(database: Database, create: Callable[..., int]) -> None:
    number, box = create(), Letterbox(lambda _: Failed("busy"))
    relay.deliver(database, box)
    first = of(database, number)
    assert (first.state, first.reason, first.attempts) == (PENDING, "busy", 1)
    assert timedelta() < first.due_at - datetime.now(UTC) < timedelta(seconds=10)
    execute(database, "UPDATE shirase_deliveries SET due_at = created_at")
    box.answer = lambda _: Sent()
    relay.deliver(database, box)
    assert (of(database, number).state, of(database, number).attempts) == (SENT, 2)
    assert len({item.delivery.uid for item in box.sent}) == 1


def test_a_retry_waits_as_long_as_the_other_side_asks(database: Database, create: Callable[..., int]) -> None:
    number = create()
    relay.deliver(database, Letterbox(lambda _: Failed("busy", timedelta(hours=3))))
    assert of(database, number).due_at - datetime.now(UTC) > timedelta(hours=2)


def test_the_backoff_doubles_up_to_an_hour() -> None:
    for attempts in range(1, 200):
        usual = min(5 * 2 ** (attempts - 1), 3600)
        assert usual / 2 <= relay.backoff(attempts).total_seconds() <= usual * 1.5


def test_after_a_day_of_failures_it_is_dead(database: Database, create: Callable[..., int]) -> None:
    number, box = create(), Letterbox(lambda _: Failed("busy"))
    relay.deliver(database, box)
    with database.transaction() as db:
        yesterday = datetime.now(UTC) - timedelta(hours=25)
        db.execute(deliveries.deliveries.update().values(tried_at=yesterday, due_at=yesterday))
    relay.deliver(database, box)
    assert of(database, number).state == DEAD


@pytest.mark.parametrize(("outcome", "state"), [(Refused("no such mailbox"), DEAD), (Skipped("no address"), SKIPPED)])
def test_what_can_never_be_sent_ends_at_once(
    outcome: Outcome, state: str, database: Database, create: Callable[..., int]
) -> None:
    number = create()
    relay.deliver(database, Letterbox(lambda _: outcome))
    assert of(database, number).state == state


def test_a_channel_that_raises_is_tried_again(database: Database, create: Callable[..., int]) -> None:
    def fail(_: Item) -> Outcome:
        raise ZeroDivisionError

    number = create()
    relay.deliver(database, Letterbox(fail))
    assert of(database, number).state == PENDING


def test_a_dead_relays_claim_ends(database: Database, create: Callable[..., int]) -> None:
    number = create()
    now = datetime.now(UTC)
    with database.transaction() as db:
        [claimed] = claims.claim(db, "email", now, lease=relay.LEASE, limit=10)
    assert relay.deliver(database, Letterbox()) == 0
    with database.transaction() as db:
        later = now + relay.LEASE + timedelta(seconds=1)
        [again] = claims.claim(db, "email", later, lease=relay.LEASE, limit=10)
    assert (again.uid, again.attempts, claimed.notification_id) == (claimed.uid, 2, number)


def test_what_was_cancelled_while_it_failed_is_not_tried_again(
    database: Database, publisher: Publisher, create: Callable[..., int]
) -> None:
    number = create()

    def read(_: Item) -> Outcome:
        inbox.mark_read(database, publisher, "42", [number])
        return Failed("busy")

    relay.deliver(database, Letterbox(read))
    assert of(database, number).state == CANCELLED


def test_several_targets_have_a_delivery_each(database: Database, create: Callable[..., int]) -> None:
    number = create()
    box = Letterbox(lambda item: Sent() if item.delivery.target else Split(["a", "b"]))
    relay.deliver(database, box)
    with database.autocommit() as db:
        states = [(item.target, item.state) for item in deliveries.of_notification(db, number)]
    assert states == [("a", SENT), ("b", SENT)]


def test_who_is_connected_is_not_reached_otherwise(database: Database, create: Callable[..., int]) -> None:
    execute(database, "UPDATE shirase_policies SET unless = 'connected'")
    execute(
        database,
        "INSERT INTO shirase_connections (connection_id, user_id, opened_at, last_seen, user_agent, address)"
        " VALUES ('c', '42', :now, :now, '', '')",
        now=LONG_AGO.isoformat(),
    )
    to_connected, to_other, box = create("42"), create("7"), Letterbox()
    relay.deliver(database, box)
    assert (of(database, to_connected).state, of(database, to_connected).reason) == (SKIPPED, "connected")
    assert box.ids == [to_other]


def test_a_digest_takes_what_is_due_soon_for_the_same_user(database: Database, create: Callable[..., int]) -> None:
    execute(database, "UPDATE shirase_policies SET after = 50")
    soon, early = create(), create()
    wait(database, soon, timedelta(seconds=30))
    wait(database, early, timedelta(seconds=20))  # less than half of its time
    create("7")  # has nothing due now
    execute(database, "UPDATE shirase_policies SET after = 500")
    create()
    execute(database, "UPDATE shirase_policies SET after = 0")
    first = create()
    box = Letterbox()
    box.window = timedelta(minutes=1)
    assert relay.deliver(database, box) == 2
    assert box.ids == [first, soon]
    assert of(database, early).state == PENDING


def test_a_reminder_never_goes_with_what_it_reminds_of(database: Database, create: Callable[..., int]) -> None:
    execute(database, "INSERT INTO shirase_policies (type, step, channel, after) VALUES ('a.b', 1, 'email', 50)")
    number, box = create(), Letterbox()
    wait(database, number, timedelta(seconds=30))
    box.window = timedelta(minutes=1)
    assert relay.deliver(database, box) == 1
    assert [item.delivery.due_at < datetime.now(UTC) for item in box.sent] == [True]


def test_a_retried_digest_takes_nothing_new_along(database: Database, create: Callable[..., int]) -> None:
    number = create()
    box = Letterbox(lambda _: Failed("busy"))
    box.window = timedelta(minutes=1)
    relay.deliver(database, box)
    execute(database, "UPDATE shirase_policies SET after = 50")
    soon = create()
    wait(database, soon, timedelta(seconds=30))
    execute(database, "UPDATE shirase_deliveries SET due_at = created_at WHERE notification_id = :id", id=number)
    box.sent.clear()
    assert relay.deliver(database, box) == 1
    assert box.ids == [number]


def begin_quiet_hours(database: Database) -> str:
    now = datetime.now(UTC)
    starts, ends = (f"{now + timedelta(hours=hours):%H}:00" for hours in (-1, 2))
    execute(
        database,
        "INSERT INTO shirase_quiet_hours (user_id, starts, ends, timezone) VALUES ('42', :starts, :ends, 'UTC')",
        starts=starts,
        ends=ends,
    )
    return ends


def test_quiet_hours_hold_back_until_their_end(database: Database, create: Callable[..., int]) -> None:
    ends = begin_quiet_hours(database)
    number, box = create(), Letterbox()
    relay.deliver(database, box)
    delivery = of(database, number)
    assert (delivery.state, delivery.attempts, box.sent) == (PENDING, 0, [])
    assert f"{delivery.due_at:%H:%M}" == ends
    box.keeps_quiet = False
    execute(database, "UPDATE shirase_deliveries SET due_at = created_at")
    relay.deliver(database, box)
    assert box.ids == [number]


def test_a_folded_notification_keeps_its_pending_delivery(database: Database, create: Callable[..., int]) -> None:
    with database.transaction() as db:
        db.execute(text("UPDATE shirase_policies SET after = 600"))
    number = create(key="k")
    for title in "abc":
        assert create(key="k", title=title) == number
    box = Letterbox()
    execute(database, "UPDATE shirase_deliveries SET due_at = created_at")
    relay.deliver(database, box)
    assert [item.notification.content.title for item in box.sent] == ["c"]
    create(key="k", title="d")  # was sent: the new content is delivered too
    with database.autocommit() as db:
        assert [item.state for item in deliveries.of_notification(db, number)] == [SENT, PENDING]


def test_the_loop_ends_with_the_process(database: Database, create: Callable[..., int]) -> None:
    stop = threading.Event()
    number = create()

    def end(_: Item) -> Outcome:
        stop.set()
        return Sent()

    box = Letterbox(end)
    relay.run(database, box, stop)
    assert box.ids == [number]


def test_dead_deliveries_are_listed_and_tried_again(
    database: Database, database_url: str, create: Callable[..., int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    number = create(title="secret title")
    box = Letterbox(lambda _: Refused("no such mailbox"))
    relay.deliver(database, box)
    uid = box.sent[0].delivery.uid
    listed = CliRunner().invoke(main, ["deliveries", "list"]).output
    assert f"{uid} email dead after 1 attempt, notification {number}" in listed
    assert "no such mailbox" in listed
    assert "secret" not in listed
    assert CliRunner().invoke(main, ["deliveries", "list", "--channel", "web_push"]).output == ""
    assert CliRunner().invoke(main, ["deliveries", "retry"]).output == "1 are tried again\n"
    box.answer = lambda _: Sent()
    relay.deliver(database, box)
    assert (of(database, number).state, box.sent[-1].delivery.uid) == (SENT, uid)


def test_a_trace_has_the_steps_of_each_channel(
    database: Database, publisher: Publisher, create: Callable[..., int]
) -> None:
    execute(database, "INSERT INTO shirase_policies (type, step, channel, after) VALUES ('a.b', 1, 'web_push', 600)")
    number = create()
    relay.deliver(database, Letterbox(lambda _: Refused("no such mailbox")))
    traced = notifications.trace(database, publisher, number)
    assert [(item.channel, item.state, item.reason) for item in traced.deliveries] == [
        ("email", DEAD, "no such mailbox"),
        ("web_push", PENDING, None),
    ]


def test_what_was_read_before_the_claim_is_never_sent(database_url: str) -> None:
    """Hundreds of races; `python -m tests.support.read_races` runs ten thousand."""
    races = read_races.run(database_url, RACES, seed=1)
    assert races.wrong == []
    assert min(races.won["read"], races.won["claim"]) > 0, str(races)


def test_deliveries_of_one_digest_stay_together(database: Database, create: Callable[..., int]) -> None:
    """A repeat has the same deliveries under the same bundle, whatever became due meanwhile, without what was read."""
    first, second, third = create(), create(), create()
    box = Letterbox(lambda _: Failed("busy"))
    box.window = timedelta(minutes=1)
    relay.deliver(database, box)
    [bundle] = {item.delivery.bundle for item in box.sent}
    assert bundle == box.sent[0].delivery.uid
    later = create()
    execute(database, "UPDATE shirase_deliveries SET due_at = created_at WHERE notification_id = :id", id=second)
    execute(database, "UPDATE shirase_deliveries SET state = 'cancelled' WHERE notification_id = :id", id=first)
    box.sent.clear()
    relay.deliver(database, box)
    bundles = {item.notification.id: item.delivery.bundle for item in box.sent}
    assert {number for number, name in bundles.items() if name == bundle} == {second, third}
    assert bundles[later] not in (None, bundle)


def test_what_was_held_back_is_bundled_anew(database: Database, create: Callable[..., int]) -> None:
    begin_quiet_hours(database)
    box = Letterbox()
    box.window = timedelta(minutes=1)
    first = create()
    relay.deliver(database, box)
    second = create()
    relay.deliver(database, box)
    execute(database, "DELETE FROM shirase_quiet_hours")
    execute(database, "UPDATE shirase_deliveries SET due_at = created_at")
    relay.deliver(database, box)
    assert box.ids == [first, second]
    assert len({item.delivery.bundle for item in box.sent}) == 1


def test_what_was_sent_is_recorded_though_the_channel_fails(database: Database, create: Callable[..., int]) -> None:
    """Also if the database fails in the midst of a batch: nothing that was sent is sent again."""
    numbers = [create(f"u{n}") for n in range(4)]
    errors: dict[int, Exception] = {numbers[1]: ZeroDivisionError(), numbers[3]: DatabaseUnavailable("gone")}

    def send(item: Item) -> Outcome:
        if error := errors.pop(item.notification.id, None):
            raise error
        return Sent()

    box = Letterbox(send)
    for _ in range(3):
        relay.deliver(database, box)
        execute(database, "UPDATE shirase_deliveries SET due_at = created_at WHERE state = 'pending'")
    assert [of(database, number).state for number in numbers] == [SENT] * 4
    assert sorted(Counter(box.ids).values()) == [1, 1, 2, 2]
