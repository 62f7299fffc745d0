import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from shirase.inbox.batcher import Batcher, RunSeparately
from tests.support.loop_thread import wait_until


class Work:
    """Doubles numbers; the first run waits until it is released."""

    def __init__(self, error: Exception | None = None) -> None:
        self.turns: list[list[int]] = []
        self.may_end = threading.Event()
        self._error = error

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.turns.append(list(numbers))
        if len(self.turns) == 1:
            assert self.may_end.wait(10)
        if self._error and len(numbers) > 1:
            raise self._error
        return [number * 2 for number in numbers]


def bring(work: Work, count: int, most: int = 10) -> list[int | BaseException]:
    """Start a run, have this many more tasks wait for its end, and return their results."""
    group = Batcher(work, most)
    with ThreadPoolExecutor(count + 1) as threads:
        first = threads.submit(group.do, 0)
        wait_until(lambda: work.turns, 10, lambda: "no turn began")
        others = [threads.submit(group.do, number) for number in range(1, count + 1)]
        wait_until(lambda: len(group.waiting) == count, 10, lambda: f"{len(group.waiting)} wait")
        work.may_end.set()
        assert first.result(10) == 0
        return [other.exception(10) or other.result(10) for other in others]


def test_who_comes_alone_is_served_at_once() -> None:
    work = Work()
    work.may_end.set()
    group = Batcher(work, 10)
    assert [group.do(1), group.do(2)] == [2, 4]
    assert work.turns == [[1], [2]]


def test_waiting_callers_share_a_run_and_get_their_own_results() -> None:
    work = Work()
    assert bring(work, 5) == [2, 4, 6, 8, 10]
    assert list(map(len, work.turns)) == [1, 5]


def test_a_turn_has_a_bound() -> None:
    work = Work()
    assert bring(work, 5, most=2) == [2, 4, 6, 8, 10]
    assert list(map(len, work.turns)) == [1, 2, 2, 1]


def test_an_error_is_everybodys() -> None:
    error = ValueError("lost")
    assert bring(Work(error), 3) == [error, error, error]


def test_where_one_may_hold_up_the_others_each_goes_by_itself() -> None:
    work = Work(RunSeparately())
    assert bring(work, 3) == [2, 4, 6]
    assert sorted(map(len, work.turns)) == [1, 1, 1, 1, 3]


def test_a_lone_tasks_error_is_raised_to_it() -> None:
    def fail(_: Sequence[int]) -> list[int]:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        Batcher(fail, 10).do(1)
