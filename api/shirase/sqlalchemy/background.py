"""Publishing beside an event loop: what was committed goes to one thread, which publishes all that waits at once."""

import atexit
import logging
import os
import threading
from collections.abc import Callable, Collection
from weakref import WeakMethod

log = logging.getLogger(__name__)

Place = tuple[str, int]  # whose log, and where in it

MOST_WAITING = 50_000  # places; more than that the relay publishes
MOST_AT_ONCE = 1_000
GRACE = 1.0  # seconds beyond a publish's own timeout that the interpreter's exit waits


class BackgroundPublisher:
    """Publishes what is handed to it, in order, without anybody's waiting for it. Safe to share between threads.

    Its thread starts with the first work of a process, so it may be made before a fork. At the interpreter's exit
    the work that waits is done, within bounds; whatever is not, the relay does.
    """

    def __init__(self, publish: Callable[[Collection[Place]], None], timeout: float) -> None:
        """Prepare; ``publish`` never raises and takes about ``timeout`` seconds at the most."""
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
        """Have what is at these places published soon."""
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
        """Wait until all is published, or for the time that one publish may take."""
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
        """Begin afresh: a forked child has neither the thread nor, of what waited, anything that is its own."""
        self._changed = threading.Condition()
        self._waiting = {}
        self._busy = False
        self._thread = None


def _call(method: WeakMethod[Callable[[], None]]) -> None:
    """Call it if its object is still there."""
    if found := method():
        found()
