"""Publishing beside an event loop: one thread publishes committed events, all waiting ones at once."""

import atexit
import logging
import os
import threading
from collections.abc import Callable, Collection
from weakref import WeakMethod

log = logging.getLogger(__name__)

Place = tuple[str, int]  # user and seq

MOST_WAITING = 50_000  # waiting events; the relay publishes any beyond
MOST_AT_ONCE = 1_000
GRACE = 1.0  # seconds that the interpreter's exit waits beyond the timeout of a publish


class BackgroundPublisher:
    """Publishes events in order, without blocking the caller. Safe to share between threads.

    Its thread starts with the first event in a process, so it may be created before a fork. At the interpreter's exit
    it publishes waiting events, in bounded time; the relay publishes the rest.
    """

    def __init__(self, publish: Callable[[Collection[Place]], None], timeout: float) -> None:
        """Prepare; ``publish`` must never raise, and may take about ``timeout`` seconds."""
        self._publish = publish
        self._timeout = timeout + GRACE
        self._changed = threading.Condition()
        self._waiting: dict[Place, None] = {}
        self._busy = False
        self._thread: threading.Thread | None = None
        reset, flush = WeakMethod(self._reset), WeakMethod(self.flush)
        os.register_at_fork(after_in_child=lambda: _call(reset))
        atexit.register(_call, flush)

    def add(self, places: Collection[Place]) -> None:
        """Queue the events at these places."""
        with self._changed:
            if len(self._waiting) + len(places) > MOST_WAITING:
                log.warning("%d events are left to the relay: too many wait to be published", len(places))
                return
            self._waiting.update(dict.fromkeys(places))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="shirase-publisher", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until everything is published, at most for the time of one publish."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._busy, self._timeout)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                self._busy = True
                places = list(self._waiting)[:MOST_AT_ONCE]
                for place in places:
                    del self._waiting[place]
            self._publish(places)

    def _reset(self) -> None:
        """Reset in a forked child, which lacks the thread; its parent publishes the waiting events."""
        self._changed = threading.Condition()
        self._waiting = {}
        self._busy = False
        self._thread = None


def _call(method: WeakMethod[Callable[[], None]]) -> None:
    """Call the method if its object still exists."""
    if callback := method():
        callback()
