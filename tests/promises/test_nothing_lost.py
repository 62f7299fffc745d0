"""Promise 2, Nothing lost: committed events are delivered, whichever part failed, soon after its return."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

from tests.support.forwarder import Mode
from tests.support.fragile import Fragile, on_both
from tests.support.loop_thread import wait_until
from tests.support.service import Service, draft

SOON = 6.0  # seconds; the promise is 2 from the part's return on an idle machine
STALL = 60.0  # seconds
USERS = 40


def user() -> str:
    return f"user-{uuid4().hex}"


def test_nothing_lost_while_pushpin_is_down(fragile: Fragile) -> None:
    """The publish fails and the browsers are cut off; they reconnect with their cursors."""
    service, alice = fragile.service, user()
    devices = fragile.open_settled([alice] * 3)
    service.create(alice, "before")
    for device in devices:
        device.wait(lambda seen: seen.titles)

    fragile.stack.kill_pushpin()
    for title in ("while", "it", "is", "offline"):
        service.create(alice, title, url=fragile.stack.origin_url)
    fragile.stack.start_pushpin()
    fragile.stack.wait_ready()
    service.create(alice, "after")

    for device in devices:
        device.wait(lambda seen: len(seen.titles) >= 6)
        assert device.seqs == service.seqs_of(alice)


@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.CUT, Mode.HANG, Mode.FAIL])
def test_nothing_lost_while_the_control_port_is_down(fragile: Fragile, mode: Mode) -> None:
    """The streams stay open and the publish is lost: the relay must repair it."""
    service, users = fragile.service, [user() for _ in range(3)]
    devices = fragile.open_settled(users)

    fragile.control.mode = mode
    for each in users:
        created = service.create(each, "lost")
        assert created["title"] == "lost"
    assert not any(device.titles for device in devices)
    fragile.control.mode = Mode.PASS

    for device in devices:
        device.wait(lambda seen: seen.titles == ["lost"], SOON)
        assert device.connections == 1


def test_nothing_lost_when_a_control_ports_answer_is(fragile: Fragile) -> None:
    """The publish took effect without an answer: it is repeated, and dropped by its id."""
    service, alice = fragile.service, user()
    (device,) = fragile.open_settled([alice])

    fragile.control.mode = Mode.LOSE_ANSWER
    service.create_batch(alice, ["1", "2", "3"])
    device.wait(lambda seen: len(seen.titles) == 3)
    asked = len(fragile.control.requests)
    wait_until(lambda: len(fragile.control.requests) > asked, SOON, "the relay did not publish again")
    fragile.control.mode = Mode.PASS
    service.create(alice, "4")

    device.wait(lambda seen: len(seen.titles) >= 4)
    assert device.titles == ["1", "2", "3", "4"]


def test_nothing_lost_without_a_relay_once_something_follows(fragile: Fragile) -> None:
    """The publish failed and no relay repairs it: the user's next event brings both to the open stream."""
    service, alice = fragile.service, user()
    (device,) = fragile.open_settled([alice])
    fragile.stack.kill_relay()

    fragile.control.mode = Mode.REFUSE
    service.create(alice, "never published")
    fragile.control.mode = Mode.PASS
    service.create(alice, "published")

    device.wait(lambda seen: len(seen.titles) >= 2)
    assert device.titles == ["never published", "published"]
    assert device.connections == 1


def test_nothing_lost_while_the_origin_is_down(fragile: Fragile) -> None:
    """The stream lacks an event and no handler answers: Pushpin retries until they are back."""
    service, alice = fragile.service, user()
    (device,) = fragile.open_settled([alice])
    fragile.stack.kill_relay()
    fragile.control.mode = Mode.REFUSE
    service.create(alice, "never published")
    fragile.control.mode = Mode.PASS
    fragile.origin.mode = Mode.CUT
    asked = fragile.origin.connects
    service.create(alice, "published", url=fragile.stack.origin_url)
    wait_until(lambda: fragile.origin.connects > asked + 1, 2 * SOON, "Pushpin did not ask again")
    assert not device.titles
    fragile.origin.mode = Mode.PASS

    device.wait(lambda seen: len(seen.titles) >= 2)
    assert device.titles == ["never published", "published"]
    assert device.connections == 1


@on_both
def test_nothing_lost_by_a_kill_between_commit_and_publish(fragile: Fragile) -> None:
    """The publish, which follows the commit, is held; then its worker is killed, and it never arrives."""
    service, alice = fragile.service, user()
    (device,) = fragile.open_settled([alice])
    fragile.control.mode = Mode.HOLD

    with ThreadPoolExecutor(1) as producer:
        answer = producer.submit(service.ask_to_create, alice, "committed")
        fragile.control.wait_held()
        fragile.stack.kill_workers()
        fragile.control.cut()
    assert answer.result().status_code == 502
    assert service.seqs_of(alice) == [1]
    assert not device.titles
    fragile.control.mode = Mode.PASS

    device.wait(lambda seen: seen.titles == ["committed"], SOON)
    assert device.connections == 1


@on_both
def test_nothing_lost_or_leaked_when_many_recover_at_once(fragile: Fragile) -> None:
    """All read the same next link at the same instant, and each gets its own events."""
    service, users = fragile.service, [user() for _ in range(USERS)]
    devices = fragile.open_settled(users)
    fragile.stack.kill_relay()

    fragile.control.mode = Mode.REFUSE
    missed = [draft(f"{each} missed{more}", user_id=each) for each in users for more in ("", " too")]
    service.produce("/batch", {"notifications": missed})
    fragile.control.mode = Mode.PASS
    service.produce("/broadcast", draft("all", user_ids=users))

    for each, device in zip(users, devices, strict=True):
        device.wait(lambda seen: len(seen.titles) >= 3)
        assert device.titles == [f"{each} missed", f"{each} missed too", "all"]
        assert {event.json["user_id"] for event in device.log} == {each}
        assert device.connections == 1


def test_nothing_lost_while_a_stream_opens_during_writes(service: Service) -> None:
    """There is no gap between snapshot and subscription."""
    users = [user() for _ in range(6)]
    devices = []
    for number in range(10):
        devices += [service.open(each, greeted=False) for each in users]
        for each in users:
            service.create(each, str(number))
    for each in users:
        service.create(each, "last")

    for device in devices:
        device.wait(lambda seen: seen.received)
        begin = device.received[0].seq  # the last one, if the stream opened after it
        assert begin is not None
        device.wait(lambda seen: len(seen.log) >= 11 - (seen.received[0].seq or 0))
        assert device.seqs == list(range(begin + 1, 12))


def test_nothing_lost_by_a_device_that_stopped_reading(service: Service) -> None:
    """Its queue at the proxy overflows silently; the next event reveals the gap.

    After megabytes, Pushpin 1.36 occasionally delays the last events by 45 s, until its parts exchange keep-alives.
    """
    alice = user()
    slow, quick = service.open_many([alice] * 2)
    slow.stop_reading()

    big = "x" * 4000
    for _ in range(6):
        drafts = [{"type": "t", "title": "t", "message": big, "user_id": alice} for _ in range(150)]
        service.produce("/batch", {"notifications": drafts})
    quick.wait(lambda seen: len(seen.log) >= 900)
    assert len(slow.log) < 900
    slow.go_on_reading()
    service.create(alice, "after")

    for device in (slow, quick):
        device.wait(lambda seen: len(seen.log) >= 901, STALL)
        assert device.seqs == service.seqs_of(alice)
