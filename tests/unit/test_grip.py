"""Channels that nobody can spell by accident, and signatures that hold for their time."""

import string
import time
from dataclasses import replace

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shirase.proxy import grip
from shirase.types import START, EventId
from tests.support.event_stream import parse
from tests.support.nowhere import NOWHERE

USER_IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=255)
EVENTS = st.just(START) | st.builds(EventId, st.integers(1, 10**18 - 1), st.from_regex("[0-9a-f]{6}", fullmatch=True))
SAFE = set(string.ascii_letters + string.digits + "-_")


@given(USER_IDS, USER_IDS)
def test_a_user_id_spells_its_own_channel_and_no_other(one: str, other: str) -> None:
    channel = grip.user_channel(one)
    assert set(channel) <= SAFE
    assert (channel == grip.user_channel(other)) == (one == other)
    assert grip.parse_last(f"c-0a; last-id=0,{channel}; last-id=7.0a1b2c") == grip.Last(one, "0a", EventId(7, "0a1b2c"))


@given(st.text(), USER_IDS)
def test_a_hostile_grip_last_is_none(header: str, user_id: str) -> None:
    assert grip.parse_last(header) is None
    assert grip.parse_wait(header, user_id) is None


@given(USER_IDS, USER_IDS, EVENTS)
def test_a_hold_names_the_users_own_channels_and_no_other(user_id: str, other: str, head: EventId) -> None:
    stream = grip.hold_stream(user_id, "0a1b", head, next_path="/next", keepalive=30, again=3600)
    poll = grip.hold_response(user_id, head, grip.Wait(head, 7), 20)
    for headers, count in ((stream, 2), (poll, 2)):
        channels = [part.strip().partition("; prev-id=") for part in headers["Grip-Channel"].split(",")]
        assert (len(channels), channels[0][0], channels[0][2]) == (count, grip.user_channel(user_id), str(head))
        assert all(set(name) <= SAFE and set(prev_id) <= {*string.hexdigits, ".", "-"} for name, _, prev_id in channels)
    # What the proxy says when it asks again is what the hold said to it.
    said = {headers["Grip-Hold"]: headers["Grip-Channel"].replace("prev-id", "last-id") for headers in (stream, poll)}
    assert grip.parse_last(said["stream"]) == grip.Last(user_id, "0a1b", head)
    assert grip.parse_wait(said["response"], user_id) == grip.Wait(head, 7)
    assert grip.parse_last(said["response"]) is None
    assert grip.parse_wait(said["stream"], user_id) is None
    assert (grip.parse_wait(said["response"], other) is None) == (user_id != other)


def test_the_heartbeat_is_an_event_in_the_proxys_own_notation() -> None:
    header = grip.hold_stream("a", "0a1b", START, next_path="/next", keepalive=30, again=3600)["Grip-Keep-Alive"]
    content, *parameters = header.split("; ")  # a ";" in the content would end it
    assert parameters == ["format=cstring", "timeout=30", "mode=idle"]
    (event,) = parse(content.replace("\\n", "\n")).events
    assert (event.event, event.json(), event.id) == ("heartbeat", {"type": "heartbeat"}, "")


@pytest.mark.parametrize(
    "header",
    [
        "u-YQ; last-id=1.0a1b2c",
        "c-0a; last-id=0",
        "u-YQ; last-id=x,c-0a; last-id=0",
        "u-YQ; last-id=1,c-0a; last-id=0",
        "u-YQ; last-id=1.1,c-0a; last-id=0",
        "u-_w; last-id=1.0a1b2c,c-0a; last-id=0",
        "u-A; last-id=1.0a1b2c,c-0a; last-id=0",
    ],
)
def test_a_grip_last_without_both_channels_is_none(header: str) -> None:
    assert grip.parse_last(header) is None


def test_a_signature_holds_for_its_key_and_until_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    end = int(time.time()) + 60
    signature = jwt.encode({"iss": "pushpin", "exp": end}, NOWHERE.pushpin_sig_key)
    for _ in range(2):  # the second time it is remembered
        assert grip.is_signed(signature, NOWHERE)
        assert not grip.is_signed(signature, replace(NOWHERE, pushpin_sig_key="x" * 32))
        assert not grip.is_signed(jwt.encode({"iss": "other", "exp": end}, NOWHERE.pushpin_sig_key), NOWHERE)
    monkeypatch.setattr(time, "time", lambda: float(end))
    assert not grip.is_signed(signature, NOWHERE)
