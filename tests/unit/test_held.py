"""What a relay remembers of a node's connections, against a plain dictionary that remembers everything."""

import random
import sys
from collections.abc import Iterator

import pytest

from shirase.errors import DatabaseUnavailable
from shirase.relay.held import Held

HOSTILE = [
    "",
    "a",
    "a" * 64,
    "-",
    "_",
    "0" * 16,
    "c-c-c",
    "9edb-6b",
    "知",
    "\x00",
    "'; DROP TABLE x; --",
]
BYTES = 20  # that an id may take at the most, with what arrays keep in reserve
MANY = 100_000


def test_it_holds_what_was_heard_and_nothing_else() -> None:
    held = Held()
    for heard in HOSTILE:
        assert heard not in held
        assert held.hear(heard, 10.0)
        assert heard in held
        assert not held.hear(heard, 11.0)
    assert len(held) == len(HOSTILE)
    assert "another" not in held


def test_what_has_left_is_not_held_and_new_when_it_comes_back() -> None:
    held = Held()
    held.hear("a", 10.0)
    held.hear("b", 10.0)
    held.discard("a")
    held.discard("never there")
    assert ("a" in held, "b" in held) == (False, True)
    assert held.hear("a", 10.0)


def test_what_is_not_heard_again_in_its_time_lapses() -> None:
    held = Held()
    for connection_id in HOSTILE:
        held.hear(connection_id, 10.0)
    held.hear("a", 20.0)
    assert not held.lapse(10.0)
    assert len(held) == len(HOSTILE)
    assert held.lapse(10.1)
    assert [one for one in HOSTILE if one in held] == ["a"]
    assert not held.lapse(20.0)
    assert held.lapse(21.0)
    assert len(held) == 0
    assert not held.lapse(22.0)


def test_rows_of_what_it_does_not_hold_are_named() -> None:
    held = Held()
    for connection_id in ("a", "b", "c"):
        held.hear(connection_id, 10.0)
    assert list(held.compare(["x", "a", "y", "c"])) == ["x", "y"]


def test_what_has_no_row_is_looked_at_when_it_is_heard_again_and_only_then() -> None:
    held = Held()
    for connection_id in ("a", "b", "c"):
        assert held.hear(connection_id, 10.0)
    list(held.compare(["a", "c"]))
    assert [held.hear(one, 11.0) for one in ("a", "b", "c")] == [False, True, False]
    assert not held.hear("b", 12.0)
    held.doubt("c")
    held.doubt("never there")
    assert [held.hear(one, 13.0) for one in ("a", "b", "c")] == [False, False, True]


def test_a_comparison_that_fails_half_way_doubts_what_it_has_not_seen() -> None:
    held = Held()
    for connection_id in ("a", "b"):
        held.hear(connection_id, 10.0)

    def rows() -> Iterator[str]:
        yield "a"
        raise DatabaseUnavailable("it went away")

    with pytest.raises(DatabaseUnavailable):
        list(held.compare(rows()))
    assert [held.hear(one, 11.0) for one in ("a", "b")] == [False, True]


def test_it_agrees_with_a_dictionary_whatever_happens() -> None:
    chance, held, truth, doubted = random.Random(7), Held(), dict[str, float](), set[str]()
    names = [f"{number:x}" for number in range(300)]
    for now in range(20_000):
        name = chance.choice(names)
        match chance.randrange(6):
            case 0 | 1 | 2:
                assert held.hear(name, now + 200.0) == (name not in truth or name in doubted)
                truth[name] = now + 200.0
                doubted.discard(name)
            case 3:
                held.discard(name)
                truth.pop(name, None)
            case 4:
                assert held.lapse(now) == any(until < now for until in truth.values())
                truth = {one: until for one, until in truth.items() if until >= now}
            case _ if now % 10 == 0:
                rows = chance.sample(names, 100)
                assert list(held.compare(rows)) == [row for row in rows if row not in truth]
                doubted = set(names).difference(rows)
        assert len(held) == len(truth)
        assert (name in held) == (name in truth)


def test_a_connection_takes_twenty_bytes_at_the_most() -> None:
    held = Held()
    for number in range(MANY):
        held.hear(f"{number:016x}", 10.0)
    kept = (held._digests, held._until, held._entered)  # noqa: SLF001 - what it keeps is what is to be measured
    assert sum(map(sys.getsizeof, kept)) <= BYTES * MANY
