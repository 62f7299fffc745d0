"""Group commit: tasks that arrive while another batch is running are executed together by one thread.

A commit, a publish and its mark cost nearly the same for one task as for ten. A task that arrives during a batch waits
for its end; then the first waiting thread executes all waiting tasks. A task that arrives alone runs at once. There is
no extra thread, and no state between batches.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")


class RunSeparately(Exception):
    """The batch did nothing; run each task separately, since one of them may block the others."""


@dataclass(slots=True, eq=False)
class _Entry(Generic[Task, Result]):
    task: Task
    result: Result | None = None
    error: BaseException | None = None
    done: bool = False


class Batcher(Generic[Task, Result]):
    """Safe to share between threads; create it after a fork, not before."""

    def __init__(self, run: Callable[[Sequence[Task]], Sequence[Result]], most: int) -> None:
        """Prepare.

        Args:
            run: executes tasks and returns a result for each, in order; its exception is raised to every caller.
            most: the largest number of tasks in a batch.
        """
        self._run = run
        self._most = most
        self.waiting: deque[_Entry[Task, Result]] = deque()  # in order of arrival
        self.turn = threading.Lock()

    def do(self, task: Task) -> Result:
        """Execute a task, alone or in a batch, and return its result."""
        entry: _Entry[Task, Result] = _Entry(task)
        self.waiting.append(entry)
        with self.turn:
            # A batch has a limit, so this task may need another turn.
            while not entry.done:
                self._take()
        if isinstance(entry.error, RunSeparately):
            return self._run([task])[0]
        if entry.error is not None:
            raise entry.error
        return entry.result  # type: ignore[return-value]

    def _take(self) -> None:
        """Execute the waiting tasks. The caller holds ``turn``."""
        entries = [self.waiting.popleft() for _ in range(min(len(self.waiting), self._most))]
        try:
            results = self._run([entry.task for entry in entries])
            for entry, result in zip(entries, results, strict=True):
                entry.result = result
        except BaseException as exc:  # noqa: BLE001 - raised again in every waiting thread
            for entry in entries:
                entry.error = exc
        for entry in entries:
            entry.done = True
