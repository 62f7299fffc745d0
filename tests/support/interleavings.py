"""Runs two functions in every order of their database statements."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import event

from shirase.store.database import Database

LOCK = "pg_advisory_xact_lock"  # the service's only lock that is not of a row
BOUND = 20.0  # seconds until a function reaches its next statement


class _Actor:
    """One function, in a thread that stops in front of each statement and each commit."""

    def __init__(self, run: Callable[[], Any], *, locks: bool) -> None:
        self._run, self._locks = run, locks
        self._go, self._stopped = threading.Semaphore(0), threading.Event()
        self.steps = 0
        self.in_transaction = False
        self.is_done = False
        self.waits_for_lock = False  # its next statement takes a lock for the transaction; in SQLite each BEGIN does
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._main, daemon=True)

    def _main(self) -> None:
        try:
            self._run()
        except BaseException as exc:  # noqa: BLE001 - raised again by the test's thread
            self.error = exc
        self.in_transaction, self.is_done = False, True
        self._stopped.set()

    def gate(self, what: str) -> None:
        if self._locks and self.in_transaction and what != "COMMIT":
            return  # nobody sees what happens inside of SQLite's only write transaction
        if what.startswith("PRAGMA"):
            return
        if what == "COMMIT" and not self.in_transaction:
            return
        self.waits_for_lock = (self._locks and what.startswith("BEGIN")) or LOCK in what
        self._stopped.set()
        assert self._go.acquire(timeout=BOUND)
        self.in_transaction = what.startswith("BEGIN") or (self.in_transaction and what != "COMMIT")

    def wait(self) -> None:
        assert self._stopped.wait(BOUND), "it does not reach its next statement"

    def step(self) -> None:
        self._stopped.clear()
        self.steps += 1
        self._go.release()
        self.wait()


def interleavings(database: Database, make: Callable[[], Sequence[Callable[[], Any]]]) -> Iterator[str]:
    """Run two new functions in each possible order; yields each order, such as ``0110``, after it was run."""
    for function in make():  # so that what is read once and kept is no step of the runs to come
        function()
    prefix: list[int] = []
    while True:
        taken: list[int] = []
        open_choices: list[bool] = []
        with _gated(database, make()) as actors:
            while runnable := _runnable(actors):
                place = len(taken)
                chosen = prefix[place] if place < len(prefix) else runnable[0]
                assert chosen in runnable, "the steps differ from those of the run before"
                open_choices.append(len(runnable) > 1)
                taken.append(chosen)
                actors[chosen].step()
        yield "".join(map(str, taken))
        # The last place at which the first was chosen, and the second could have been.
        later = [n for n, choice in enumerate(taken) if open_choices[n] and choice == 0]
        if not later:
            return
        prefix = [*taken[: later[-1]], 1]


def _runnable(actors: Sequence[_Actor]) -> list[int]:
    is_locked = any(actor.in_transaction for actor in actors)
    return [n for n, actor in enumerate(actors) if not actor.is_done and not (actor.waits_for_lock and is_locked)]


@contextmanager
def _gated(database: Database, functions: Sequence[Callable[[], Any]]) -> Iterator[list[_Actor]]:
    locks = database.engine.dialect.name == "sqlite"
    actors = [_Actor(function, locks=locks) for function in functions]
    of_thread = {actor.thread: actor for actor in actors}

    def gate(what: str) -> None:
        if actor := of_thread.get(threading.current_thread()):
            actor.gate(what)

    def before(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        gate(statement)

    def commit(_connection: Any) -> None:
        gate("COMMIT")

    event.listen(database.engine, "before_cursor_execute", before)
    event.listen(database.engine, "commit", commit)
    try:
        for actor in actors:
            actor.thread.start()
            actor.wait()
        yield actors
    finally:
        event.remove(database.engine, "before_cursor_execute", before)
        event.remove(database.engine, "commit", commit)
    for actor in actors:
        if actor.error:
            raise actor.error
