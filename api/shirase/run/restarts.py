"""Restart a child process whenever it ends."""

import logging
import signal
import time

from shirase.run.processes import Child

logger = logging.getLogger(__name__)

STABLE = 30.0  # seconds after which a child counts as having started well
FIRST_DELAY, LONGEST_DELAY = 0.5, 10.0  # seconds until a child that failed again is started again


class RestartedChild:
    """Restarts a child: at once the first time, then with growing delays until it has been up for a while."""

    def __init__(self, child: Child) -> None:
        """Take over a child that has not been started."""
        self.child = child
        self._failures = 0
        self._started_at = 0.0
        self._start_at: float | None = None

    def start(self) -> None:
        """Start the child."""
        self.child.start()
        self._started_at, self._start_at = time.monotonic(), None

    def tend(self) -> None:
        """Detect that the child has ended, and restart it when its delay is over."""
        now = time.monotonic()
        if self._start_at is not None:
            if now >= self._start_at:
                self.start()
        elif (code := self.child.exit_code()) is not None:
            self.child.kill()  # the rest of its family would keep its ports
            self._failures = 1 if now - self._started_at > STABLE else self._failures + 1
            delay = min(FIRST_DELAY * 2 ** (self._failures - 2), LONGEST_DELAY) if self._failures > 1 else 0.0
            self._start_at = now + delay
            logger.warning("%s ended (%s); restarting it in %.1f s", self.child.name, _how(code), delay)


def _how(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
