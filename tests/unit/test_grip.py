"""Channels that nobody can spell by accident, and publishes that never hang."""

import string
import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api import grip
from api.grip import Item, Publisher
from api.settings import Settings
from tests.control_port import ControlPort, control_port, wait_until

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


@given(st.text())
def test_a_hostile_grip_last_is_none(header: str) -> None:
    assert grip.parse_last(header) is None


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
    wait_until(lambda: under_test.publish([ITEM]) == [frozenset({port.url})])


def test_a_control_port_that_refuses_fails_no_one() -> None:
    assert Publisher(SETTINGS).publish([ITEM]) == [frozenset()]
    assert Publisher(SETTINGS).publish([]) == []
