"""The relay's part of erasures: continues those that a handler could not finish."""

import logging
import time
from collections.abc import Iterator

from shirase.inbox import users
from shirase.proxy.publisher import Publisher
from shirase.store import erasure
from shirase.store.database import Database

logger = logging.getLogger(__name__)

BUDGET = 0.3  # seconds in one round of the relay, so that the outbox never waits for long
YOUNG = 2 * users.LONGEST  # seconds for which a handler is most likely still erasing


class Eraser:
    """Continues erasures, a little in each round."""

    def __init__(self) -> None:
        """Begin without erasures."""
        self._seen: dict[str, float] = {}  # time.monotonic() when first seen
        self._steps: tuple[str, Iterator[None]] | None = None

    def work(self, database: Database, publisher: Publisher) -> None:
        """Do some steps of the erasures that have waited for long enough."""
        with database.autocommit() as db:
            waiting = erasure.pending(db, 100)
        now = time.monotonic()
        self._seen = {user_id: self._seen.get(user_id, now) for user_id in waiting}
        if self._steps and self._steps[0] not in self._seen:
            self._steps = None  # another process has finished it
        if not self._steps:
            due = [user_id for user_id, since in self._seen.items() if now - since >= YOUNG]
            if not due:
                return
            self._steps = due[0], users.steps(database, publisher, due[0])
        while time.monotonic() - now < BUDGET:
            try:
                next(self._steps[1])
            except StopIteration:
                logger.info("finished the erasure of a user")
                self._steps = None
                return
            except BaseException:
                self._steps = None  # begun again in a later round
                raise
