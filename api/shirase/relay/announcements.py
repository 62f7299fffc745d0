"""The relay's part of announcements: gives them to connected users, and removes retracted ones from inboxes."""

import time
from datetime import UTC, datetime

from shirase.inbox import announcements as inbox
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import announcements
from shirase.store.database import Database

RETRACTED = 20  # retracted announcements handled in one check
TIMEOUTS = 3  # bound of a connect in database timeouts: a statement, an idle handler, and the commit


class Spreader:
    """Gives announcements to connected users, until no connected user can lack one.

    A connect that began before an announcement's commit does not see the announcement, and the relay does not see the
    connect before its own commit. So the relay repeats the check for as long as such a connect may take.
    """

    def __init__(self, settings: Settings) -> None:
        """Begin without announcements."""
        self._grace = TIMEOUTS * settings.database_timeout
        self._seen: dict[int, float] = {}  # time.monotonic() when first seen, by id

    def spread(self, database: Database, publisher: Publisher) -> None:
        """Have connected users take over the announcements that they lack."""
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
    """Remove retracted announcements from the inboxes that still have them."""
    with database.autocommit() as db:
        retracted = announcements.retracted(db, RETRACTED)
    for number in retracted:
        inbox.remove(database, publisher, number)
