"""Channels that nobody can spell by accident, and publishes that never hang."""

import string
import time
from collections.abc import Iterator
from dataclasses import replace

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import grip
from api.grip import Item, Publisher
from api.settings import Settings
from tests.control_port import ControlPort, control_port
from tests.event_stream import parse
from tests.loop_thread import wait_until

BOUND = 10.0  # seconds

SETTINGS = Settings(
    database_url="sqlite:////x.db",
    grip_url=("http://127.0.0.1:1",),
    pushpin_sig_key="k" * 32,
    jwt_secret="j" * 32,
    publish_timeout=0.3,
)
USER_IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=255)
SAFE = set(string.ascii_letters + string.digits + "-_")
ITEM = Item("u-YQ", 1, "event: x\n\n")


@given(USER_IDS, USER_IDS)
def test_a_user_id_spells_its_own_channel_and_no_other(one: str, other: str) -> None:
    channel = grip.user_channel(one)
    assert set(channel) <= SAFE
    assert (channel == grip.user_channel(other)) == (one == other)
    assert grip.parse_last(f"c-0a; last-id=0,{channel}; last-id=7") == grip.Last(one, "0a", 7)


@given(st.text(), USER_IDS)
def test_a_hostile_grip_last_is_none(header: str, user_id: str) -> None:
    assert grip.parse_last(header) is None
    assert grip.parse_wait(header, user_id) is None


@given(USER_IDS, USER_IDS, st.integers(0, 10**18 - 1))
def test_a_hold_names_the_users_own_channels_and_no_other(user_id: str, other: str, head: int) -> None:
    stream = grip.hold_stream(user_id, "0a1b", head, next_path="/next", keepalive=30, again=3600)
    poll = grip.hold_response(user_id, head, grip.Wait(head, 7), 20)
    for headers, count in ((stream, 2), (poll, 2)):
        channels = [part.strip().partition("; prev-id=") for part in headers["Grip-Channel"].split(",")]
        assert (len(channels), channels[0][0], channels[0][2]) == (count, grip.user_channel(user_id), str(head))
        assert all(set(name) <= SAFE and set(prev_id) <= {*string.digits, "."} for name, _, prev_id in channels)
    # What the proxy says when it asks again is what the hold said to it.
    said = {headers["Grip-Hold"]: headers["Grip-Channel"].replace("prev-id", "last-id") for headers in (stream, poll)}
    assert grip.parse_last(said["stream"]) == grip.Last(user_id, "0a1b", head)
    assert grip.parse_wait(said["response"], user_id) == grip.Wait(head, 7)
    assert grip.parse_last(said["response"]) is None
    assert grip.parse_wait(said["stream"], user_id) is None
    assert (grip.parse_wait(said["response"], other) is None) == (user_id != other)


def test_the_heartbeat_is_an_event_in_the_proxys_own_notation() -> None:
    header = grip.hold_stream("a", "0a1b", 0, next_path="/next", keepalive=30, again=3600)["Grip-Keep-Alive"]
    content, *parameters = header.split("; ")  # a ";" in the content would end it
    assert parameters == ["format=cstring", "timeout=30", "mode=idle"]
    (event,) = parse(content.replace("\\n", "\n")).events
    assert (event.event, event.json(), event.id) == ("heartbeat", {"type": "heartbeat"}, "")


@pytest.mark.parametrize(
    "header",
    [
        "u-YQ; last-id=1",
        "c-0a; last-id=0",
        "u-YQ; last-id=x,c-0a; last-id=0",
        "u-_w; last-id=1,c-0a; last-id=0",
        "u-A; last-id=1,c-0a; last-id=0",
    ],
)
def test_a_grip_last_without_both_channels_is_none(header: str) -> None:
    assert grip.parse_last(header) is None


@pytest.fixture
def port() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


def publisher(port: ControlPort) -> Publisher:
    return Publisher(replace(SETTINGS, grip_url=(port.url,)))


def test_a_signature_holds_for_its_key_and_until_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    end = int(time.time()) + 60
    signature = jwt.encode({"iss": "pushpin", "exp": end}, SETTINGS.pushpin_sig_key)
    for _ in range(2):  # the second time it is remembered
        assert grip.is_signed(signature, SETTINGS)
        assert not grip.is_signed(signature, replace(SETTINGS, pushpin_sig_key="x" * 32))
        assert not grip.is_signed(jwt.encode({"iss": "other", "exp": end}, SETTINGS.pushpin_sig_key), SETTINGS)
    monkeypatch.setattr(time, "time", lambda: float(end))
    assert not grip.is_signed(signature, SETTINGS)


def test_posts_stay_under_the_proxys_limit_and_in_order(port: ControlPort) -> None:
    items = [Item("u-YQ", number, "x" * 10_000) for number in range(1, 301)]
    assert publisher(port).publish(items) == [frozenset({port.url})] * 300
    assert [item["id"] for item in port.items] == [str(number) for number in range(1, 301)]
    assert len(port.posts) == 4
    assert all(sum(len(item["formats"]["http-stream"]["content"]) for item in post) < 900_000 for post in port.posts)


def test_a_hung_control_port_costs_a_bounded_time_and_then_nothing(port: ControlPort) -> None:
    port.behaviour = "hang"
    under_test = publisher(port)
    for _ in range(grip.FAILURES_UNTIL_SPARED):
        assert under_test.publish([ITEM]) == [frozenset()]
    started = time.monotonic()
    spared = 0
    while time.monotonic() - started < grip.SPARED[0] / 2:
        assert under_test.publish([ITEM]) == [frozenset()]
        spared += 1
    assert spared > 10  # each attempt at the hung port would have taken longer than the whole loop


def test_a_control_port_that_is_back_is_used_again(port: ControlPort) -> None:
    port.behaviour = "fail"
    under_test = publisher(port)
    for _ in range(grip.FAILURES_UNTIL_SPARED):
        assert under_test.publish([ITEM]) == [frozenset()]
    port.behaviour = "accept"
    wait_until(lambda: under_test.publish([ITEM]) == [frozenset({port.url})], BOUND, "it was not used again")


def test_a_control_port_that_refuses_fails_no_one() -> None:
    assert Publisher(SETTINGS).publish([ITEM]) == [frozenset()]
    assert Publisher(SETTINGS).publish([]) == []


def test_a_slow_control_port_takes_no_more_than_a_publish_may(port: ControlPort) -> None:
    """Each of its answers is just in time: only the publish as a whole is over its bound."""
    port.on_post = lambda: time.sleep(SETTINGS.publish_timeout * 2 / 3)
    items = [Item("u-YQ", number, "x" * 500_000) for number in range(1, 31)]
    accepted = publisher(port).publish(items)
    assert len(accepted) == len(items)
    taken = sum(map(bool, accepted))
    assert 0 < taken == len(port.posts) < 10  # the relay brings the rest
    assert accepted == [frozenset({port.url})] * taken + [frozenset()] * (30 - taken)


def test_what_the_environment_says_of_proxies_is_not_heard(port: ControlPort, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert publisher(port).publish([ITEM]) == [frozenset({port.url})]


def test_one_node_that_fails_costs_the_others_nothing(port: ControlPort) -> None:
    both = Publisher(replace(SETTINGS, grip_url=("http://127.0.0.1:1", port.url)))
    for _ in range(grip.FAILURES_UNTIL_SPARED + 2):
        assert both.publish([ITEM]) == [frozenset({port.url})]
    assert both.nodes == ("http://127.0.0.1:1", port.url)


def test_a_repair_goes_to_one_node_alone(port: ControlPort) -> None:
    both = Publisher(replace(SETTINGS, grip_url=("http://127.0.0.1:1", port.url)))
    assert both.publish_to(port.url, [Item("u-YQ", 0, ""), Item("u-Yg", 0, "")])
    assert not both.publish_to("http://127.0.0.1:1", [ITEM])
    assert [item["channel"] for item in port.items] == ["u-YQ", "u-Yg"]
    assert all("id" not in item and "prev-id" not in item for item in port.items)
