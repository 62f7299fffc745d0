"""The relay's part of announcements: connected users get them, and deleted ones leave the inboxes."""

import time
from datetime import UTC, datetime

from shirase.inbox import announcements as inbox
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import announcements
from shirase.store.database import Database

RETRACTED = 20  # announcements that are taken out of inboxes before others have their turn
TIMEOUTS = 3  # a connect is over after that many: a statement, a silence of its handler, and the commit


class Spreader:
    """Gives announcements to connected users, until nobody who is connected can lack one.

    A connect that began before an announcement was committed does not see it, and is not seen by the relay until its
    own commit. So the relay goes on looking for as long as such a connect may take.
    """

    def __init__(self, settings: Settings) -> None:
        """Begin with none."""
        self._grace = TIMEOUTS * settings.database_timeout
        self._seen: dict[int, float] = {}  # since when, by the id

    def spread(self, database: Database, publisher: Publisher) -> None:
        """Have connected users take over what they lack."""
        with database.autocommit() as db:
            waiting = announcements.spreading(db)
        now = time.monotonic()
        self._seen = {number: self._seen.get(number, now) for number in waiting}
        if not waiting or inbox.spread(database, publisher):
            return
        done = [number for number, since in self._seen.items() if now - since >= self._grace]
        if done:
            with database.transaction() as db:
                announcements.mark_spread(db, done, datetime.now(UTC))


def remove_retracted(database: Database, publisher: Publisher) -> None:
    """Take what was deleted out of the inboxes that still have it."""
    with database.autocommit() as db:
        retracted = announcements.retracted(db, RETRACTED)
    for number in retracted:
        inbox.remove(database, publisher, number)
