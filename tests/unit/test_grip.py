"""Channel names that cannot collide, and signatures that expire."""

import string
import time
from dataclasses import replace

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shirase.proxy import grip, seals
from shirase.types import START, EventId
from tests.support.event_stream import parse
from tests.support.nowhere import NOWHERE

USER_IDS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=255)
EVENTS = st.just(START) | st.builds(EventId, st.integers(1, 10**18 - 1), st.from_regex("[0-9a-f]{6}", fullmatch=True))
SAFE = set(string.ascii_letters + string.digits + "-_")
KEY, OTHER_KEY = b"k" * 32, b"o" * 32
NAME = "0123456789abcdef-0"  # of a connection whose token does not expire


@given(USER_IDS, USER_IDS)
def test_a_user_id_spells_its_own_channel_and_no_other(first: str, second: str) -> None:
    channel = grip.user_channel(first)
    assert set(channel) <= SAFE
    assert (channel == grip.user_channel(second)) == (first == second)
    connection = seals.connection_id(KEY, first, NAME)
    header = f"c-{connection}; last-id=0,{channel}; last-id=7.0a1b2c"
    assert grip.parse_last(header, [OTHER_KEY, KEY]) == grip.Last(first, connection, EventId(7, "0a1b2c"))
    assert grip.parse_last(header, [OTHER_KEY]) is None
    assert (grip.parse_last(header.replace(channel, grip.user_channel(second)), [KEY]) is None) == (first != second)


@given(st.text(), USER_IDS)
def test_a_hostile_grip_last_is_none(header: str, user_id: str) -> None:
    assert grip.parse_last(header, [KEY]) is None
    assert grip.parse_wait(header, user_id, [KEY]) is None


@given(USER_IDS, USER_IDS, EVENTS)
def test_a_hold_names_the_users_own_channels_and_no_other(user_id: str, other: str, head: EventId) -> None:
    connection = seals.connection_id(KEY, user_id, NAME)
    hold = grip.hold_stream(user_id, connection, head, next_path="/next", keepalive=30, again=3600)
    wait = grip.Wait(head, int(time.time()) + 7)
    stream, poll = hold.headers("GET"), grip.hold_response(user_id, head, wait, 20, KEY).headers("GET")
    for headers, count in ((stream, 2), (poll, 2)):
        channels = [part.strip().partition("; prev-id=") for part in headers["Grip-Channel"].split(",")]
        assert (len(channels), channels[0][0], channels[0][2]) == (count, grip.user_channel(user_id), str(head))
        assert all(set(name) <= SAFE and set(prev_id) <= {*string.hexdigits, ".", "-"} for name, _, prev_id in channels)
    # The proxy's recovery repeats what the hold contained.
    body = {headers["Grip-Hold"]: headers["Grip-Channel"].replace("prev-id", "last-id") for headers in (stream, poll)}
    assert grip.parse_last(body["stream"], [KEY]) == grip.Last(user_id, connection, head)
    assert grip.parse_wait(body["response"], user_id, [KEY]) == wait
    assert grip.parse_last(body["response"], [KEY]) is None
    assert grip.parse_wait(body["stream"], user_id, [KEY]) is None
    assert (grip.parse_wait(body["response"], other, [KEY]) is None) == (user_id != other)


@pytest.mark.parametrize("altered", ["0123456789abcdef-1", "0123456789abcdee-0", "0123456789abcdef-00"])
def test_a_recovery_is_sealed_over_name_and_expiry(altered: str) -> None:
    name, _, mac = seals.connection_id(KEY, "a", NAME).rpartition("-")
    channel = grip.user_channel("a")
    assert grip.parse_last(f"{channel}; last-id=1.0a1b2c,c-{name}-{mac}; last-id=0", [KEY])
    assert grip.parse_last(f"{channel}; last-id=1.0a1b2c,c-{altered}-{mac}; last-id=0", [KEY]) is None


def test_a_held_poll_is_sealed_over_where_it_began_and_ends() -> None:
    wait = grip.Wait(EventId(5, "0a1b2c"), int(time.time()) + 20)
    held = (
        grip.hold_response("a", wait.since, wait, 20, KEY).headers("GET")["Grip-Channel"].replace("prev-id", "last-id")
    )
    assert grip.parse_wait(held, "a", [KEY]) == wait
    assert grip.parse_wait(held, "a", [OTHER_KEY]) is None
    assert grip.parse_wait(held.replace("=5.0a1b2c-", "=0-"), "a", [KEY]) is None
    assert grip.parse_wait(held.replace(f"-{wait.until}-", f"-{wait.until + 9}-"), "a", [KEY]) is None
    late = grip.Wait(START, int(time.time()) - grip.LATE - 1)
    over = grip.hold_response("a", START, late, 20, KEY).headers("GET")
    assert grip.parse_wait(over["Grip-Channel"].replace("prev-id", "last-id"), "a", [KEY]) is None


@pytest.mark.parametrize("method", ["HEAD", "POST", "OPTIONS", "get", ""])
def test_instructions_leave_on_the_answer_to_get_alone(method: str) -> None:
    for made in (
        grip.hold_stream("a", "c", START, next_path="/next", keepalive=30, again=3600),
        grip.continue_at("/next/x"),
        grip.hold_response("a", START, grip.Wait(START, 0), 20, KEY),
        grip.hold_on(grip.Last("a", "c", START), next_path="/next", keepalive=30),
    ):
        assert made.headers("GET")
        assert made.headers(method) == {}


def test_the_heartbeat_is_an_event_in_the_proxys_own_notation() -> None:
    hold = grip.hold_stream("a", "0a1b", START, next_path="/next", keepalive=30, again=3600)
    header = hold.headers("GET")["Grip-Keep-Alive"]
    content, *parameters = header.split("; ")  # a ";" would end the content
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
    assert grip.parse_last(header, [KEY]) is None


def test_a_signature_holds_for_its_key_and_until_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    end = int(time.time()) + 60
    signature = jwt.encode({"iss": "pushpin", "exp": end}, NOWHERE.pushpin_sig_key)
    for _ in range(2):  # the second time it is cached
        assert grip.is_signed(signature, NOWHERE)
        assert not grip.is_signed(signature, replace(NOWHERE, pushpin_sig_key="x" * 32))
        assert not grip.is_signed(jwt.encode({"iss": "other", "exp": end}, NOWHERE.pushpin_sig_key), NOWHERE)
    monkeypatch.setattr(time, "time", lambda: float(end))
    assert not grip.is_signed(signature, NOWHERE)


KEYS = (b"k" * 32, b"l" * 32)
NODE = "http://[::1]:5561"


@pytest.mark.parametrize("made", ["{}", "http://other:5561 0123456789abcdef0123456789abcdef,{}", "{},x", "{0},{0}"])
def test_only_a_sealed_header_names_a_node(made: str) -> None:
    for key in KEYS:
        assert grip.parse_node(made.format(grip.name_node(key, NODE)), KEYS) == NODE
        assert grip.parse_node(made.format(grip.name_node(key, NODE)), KEYS, grip.DRAIN) is None
    assert grip.parse_node(made.format(grip.name_node(b"m" * 32, NODE)), KEYS) is None


@given(st.text(max_size=100))
def test_a_hostile_node_is_none(header: str) -> None:
    assert grip.parse_node(header, KEYS) is None


@pytest.mark.timeout(20)  # read from every position, this takes minutes
@pytest.mark.parametrize("piece", ["w-", "a", "w-a;", "c-0", " ", ",", ", ", "w-a ; last-id=0-1-"])
def test_a_long_header_is_read_in_one_pass(piece: str) -> None:
    header = piece * (200_000 // len(piece))
    assert grip.parse_wait(header, "42", (b"k" * 32,)) is None
    assert grip.parse_polling(header, "42", (b"k" * 32,)) is None
    assert grip.parse_node(header, (b"k" * 32,)) is None
    assert grip.parse_last(header, (b"k" * 32,)) is None
