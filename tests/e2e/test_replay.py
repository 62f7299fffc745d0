"""Where a stream begins, and what an idle stream carries."""

from uuid import uuid4

import pytest

from tests.support.fragile import PAGE
from tests.support.service import Service


def user() -> str:
    return f"user-{uuid4().hex}"


def test_connected_comes_first_with_the_cursor_and_the_count(service: Service) -> None:
    alice = user()
    service.create_batch(alice, ["1", "2"])

    device = service.open(alice)

    first = device.received[0]
    assert first.event == "connected"
    assert first.seq == 2
    assert first.json["status"] == "connected"
    assert first.json["user_id"] == alice
    assert first.json["unread_count"] == 2
    assert first.json["connection_id"]
    assert device.retries_named == 1


def test_a_dropped_device_reconnects_and_gets_what_it_missed(service: Service) -> None:
    alice = user()
    device = service.open(alice, longest_retry=0.2)
    service.create(alice, "1")
    device.wait(lambda seen: seen.titles == ["1"])

    device.drop()
    service.create_batch(alice, ["2", "3"])
    device.wait(lambda seen: seen.connections == 2 and len(seen.titles) == 3)
    service.create(alice, "4")

    device.wait(lambda seen: seen.titles == ["1", "2", "3", "4"])
    assert device.connections == 2


def test_a_device_that_never_got_an_event_misses_nothing(service: Service) -> None:
    alice = user()
    device = service.open(alice, longest_retry=0.2)

    device.drop()
    service.create(alice, "1")

    device.wait(lambda seen: seen.titles == ["1"])


def test_the_retry_of_streams_is_spread(service: Service) -> None:
    devices = service.open_many([user() for _ in range(20)])

    assert all(1 <= device.retry <= 5 for device in devices)
    assert len({device.retry for device in devices}) > 10


@pytest.mark.parametrize("count", [PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + 50])
def test_more_than_a_page_is_replayed_in_pages(service: Service, count: int) -> None:
    alice = user()
    start = service.open(alice)
    cursor = start.last_event_id or start.received[0].id
    start.close()
    titles = [str(number) for number in range(count)]
    service.create_batch(alice, titles)

    device = service.open(alice, cursor=cursor)
    device.wait(lambda seen: len(seen.titles) == count)
    service.create(alice, "live")

    device.wait(lambda seen: seen.titles == [*titles, "live"])
    assert device.seqs == list(range(1, count + 2))
    assert len(device.named("connected")) == device.connections == 1


def test_a_replay_meets_a_log_that_grows(service: Service) -> None:
    alice = user()
    cursor = service.open(alice).received[0].id
    for _ in range(3):
        service.create_batch(alice, ["before"] * PAGE)

    devices = [service.open(alice, cursor=cursor, greeted=False) for _ in range(3)]
    for _ in range(30):
        service.create(alice, "meanwhile")

    for device in devices:
        device.wait(lambda seen: len(seen.seqs) == 3 * PAGE + 30)
        assert device.seqs == service.seqs_of(alice)


def test_deleted_notifications_are_not_replayed(service: Service) -> None:
    alice = user()
    cursor = service.open(alice).received[0].id
    gone, kept = (service.create(alice, title)["id"] for title in ("gone", "kept"))
    service.ask("DELETE", f"/api/notifications/{gone}", alice)

    device = service.open(alice, cursor=cursor)

    device.wait(lambda seen: len(seen.log) == 2)
    assert [(event.event, event.seq) for event in device.log] == [("notification", 2), ("deleted", 3)]
    assert device.log[0].json["id"] == kept


@pytest.mark.parametrize("cursor", ["nonsense", "0123456789-3", "<b>", "x" * 1000])
def test_a_cursor_from_elsewhere_is_reset(service: Service, cursor: str) -> None:
    alice = user()
    service.create(alice, "before")

    device = service.open(alice, cursor=cursor)
    device.wait(lambda seen: seen.named("reset"))
    service.create(alice, "after")

    device.wait(lambda seen: seen.titles == ["after"])
    assert device.named("reset")[0].seq == 1
    assert device.named("reset")[0].json["reason"]
    assert device.last_event_id == device.log[-1].id


def test_a_cursor_of_another_user_is_reset(service: Service) -> None:
    alice, bob = user(), user()
    service.create(alice, "secret")
    cursor = service.open(alice).received[0].id

    device = service.open(bob, cursor=cursor)

    device.wait(lambda seen: seen.named("reset"))
    assert not device.titles


def test_a_cursor_ahead_of_the_head_is_reset(service: Service) -> None:
    alice = user()
    begin = service.open(alice).received[0].id
    assert begin

    device = service.open(alice, cursor=begin.rpartition("-")[0] + "-7")

    device.wait(lambda seen: seen.named("reset"))


def test_a_reset_is_not_repeated_by_a_reconnect(service: Service) -> None:
    alice = user()
    device = service.open(alice, cursor="nonsense", longest_retry=0.2)
    device.wait(lambda seen: seen.named("reset"))

    device.drop()
    device.wait(lambda seen: seen.connections == 2 and len(seen.named("connected")) == 2)
    service.create(alice, "after")

    device.wait(lambda seen: seen.titles == ["after"])
    assert len(device.named("reset")) == 1


def test_heartbeats_fill_the_silence(service: Service) -> None:
    alice = user()
    device = service.open(alice)
    other = service.open(user())

    device.wait(lambda seen: len(seen.named("heartbeat")) >= 3)
    service.create(alice, "after silence")
    device.wait(lambda seen: seen.titles)
    device.wait(lambda seen: seen.received[-1].event == "heartbeat")

    # The interval is not compared: the proxy sends heartbeats early, by up to half of it, differently per stream.
    other.wait(lambda seen: len(seen.named("heartbeat")) >= 3)
    assert {(event.data, event.id) for event in device.named("heartbeat")} == {('{"type":"heartbeat"}', None)}
    assert device.connections == 1
