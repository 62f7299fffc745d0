"""The standby asks the handlers about many recoveries at once."""

import asyncio
from collections.abc import Sequence

from shirase.run.recoveries import MOST, Hold, Recoveries, decode
from tests.support.loop_thread import run_async

HOLD = {"Grip-Hold": "stream"}


def hold_all(places: Sequence[str]) -> tuple[list[Hold], list[int]]:
    """Return the answers to requests that arrive together, one for each place, and the sizes of what was asked."""
    sizes = []

    async def ask(requests: Sequence[int]) -> Sequence[Hold]:
        sizes.append(len(requests))
        return [HOLD if number % 2 else None for number in requests]

    async def run() -> list[Hold]:
        gathered: Recoveries[int] = Recoveries(ask)
        return await asyncio.gather(*(gathered.hold(place, number) for number, place in enumerate(places)))

    return run_async(run()), sizes


def test_requests_that_arrive_together_are_asked_once() -> None:
    assert hold_all(["a"] * 4) == ([None, HOLD, None, HOLD], [4])


def test_one_request_is_left_to_be_asked_alone() -> None:
    assert hold_all(["a", "b"]) == ([None, None], [])


def test_requests_of_different_places_are_not_mixed() -> None:
    assert hold_all(["a", "a", "b", "b"]) == ([None, HOLD, None, HOLD], [2, 2])


def test_more_than_fit_are_asked_in_turn() -> None:
    answers, sizes = hold_all(["a"] * (MOST + 2))
    assert (len(answers), sizes) == (MOST + 2, [MOST, 2])


def test_handlers_without_an_answer_are_asked_alone() -> None:
    for answer in (None, b"", b"HTTP/1.1 404 Not Found\r\n\r\n{}", b"HTTP/1.1 200 OK\r\n\r\n[]", b"x\r\n\r\n1"):
        assert decode(answer, 2) == [None, None]
    assert decode(b'HTTP/1.1 200 OK\r\n\r\n{"holds":[{"Grip-Hold":"stream"},null]}', 2) == [HOLD, None]
    assert decode(b'HTTP/1.1 200 OK\r\n\r\n{"holds":[null]}', 2) == [None, None]
