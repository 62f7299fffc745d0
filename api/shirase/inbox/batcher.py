"""Work that several threads bring at the same time, done for all of them by one.

A commit, a publish and its mark cost nearly the same for one as for ten. So whoever comes while they are under way
waits for that turn to end, and the first of those who wait then does the work of all. Nobody waits for company: who
comes alone is served at once. No thread is started, and nothing is kept from one turn to the next.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class RunSeparately(Exception):
    """Nothing was done, and each task is to be done by itself: one of them may hold up the others."""


@dataclass(slots=True, eq=False)
class _Entry(Generic[Task, Result]):
    task: Task
    result: Result | None = None
    error: BaseException | None = None
    done: bool = False


class Batcher(Generic[Task, Result]):
    """Safe to share between threads; make it after a fork, not before."""

    def __init__(self, together: Callable[[Sequence[Task]], Sequence[Result]], most: int) -> None:
        """Prepare.

        Args:
            together: does tasks, and gives a result for each, in order; its error is raised to all who brought one.
            most: tasks that are done at once.
        """
        self._together = together
        self._most = most
        self.waiting: deque[_Entry[Task, Result]] = deque()  # in the order in which they came
        self.turn = threading.Lock()

    def do(self, task: Task) -> Result:
        """Have a task done; what became of it."""
        entry: _Entry[Task, Result] = _Entry(task)
        self.waiting.append(entry)
        with self.turn:
            # One turn may not reach as far as ours: then the next one is ours too.
            while not entry.done:
                self._take()
        if isinstance(entry.error, RunSeparately):
            return self._together([task])[0]
        if entry.error is not None:
            raise entry.error
        return entry.result  # type: ignore[return-value]

    def _take(self) -> None:
        """Do what waits now. Only who has the turn comes here."""
        entries = [self.waiting.popleft() for _ in range(min(len(self.waiting), self._most))]
        try:
            results = self._together([entry.task for entry in entries])
            for entry, result in zip(entries, results, strict=True):
                entry.result = result
        except BaseException as exc:  # noqa: BLE001 - raised again in the thread of each who waits
            for entry in entries:
                entry.error = exc
        for entry in entries:
            entry.done = True
