"""The relay: the one background process. It publishes what a crash or an outage left in the outbox.

Any number may run: the proxy drops what it has seen, so that two relays cost some work and change nothing.
"""

import logging
import random
import threading
from datetime import UTC, datetime

from api import notifications
from api.database import Database
from api.errors import DatabaseAway
from api.grip import Publisher
from api.store import log

logger = logging.getLogger(__name__)

PAUSE = 0.5  # seconds between two looks into the outbox
LONGEST_PAUSE = 2.0  # while the database is away
BATCH = 500  # events held in memory at a time


def run(database: Database, publisher: Publisher, stop: threading.Event) -> None:
    """Repair until told to stop; an outage of the database or the proxy is waited out."""
    pause = PAUSE
    while not stop.wait(pause * random.uniform(0.8, 1.2)):  # noqa: S311 - keeps relays out of step, protects nothing
        try:
            repaired = repair(database, publisher)
        except DatabaseAway as exc:
            logger.warning("the relay waits: %s", exc)
            pause = min(pause * 2, LONGEST_PAUSE)
            continue
        pause = PAUSE
        if repaired:
            logger.info("the relay published %d events that had been left behind", repaired)


def repair(database: Database, publisher: Publisher) -> int:
    """Go once through the outbox; returns how many events were published.

    An event whose first publish is just under way may be sent twice by this; the proxy knows its id and drops it.
    """
    repaired = 0
    after = ("", 0)
    while True:
        with database.read() as session:
            found = log.unpublished(session, after, BATCH, datetime.now(UTC))
        if not found:
            return repaired
        sent = notifications.publish(database, publisher, found)
        repaired += sent
        if not sent:  # the proxy is away: the rest would only wait for it too
            return repaired
        after = (found[-1].user_id, found[-1].seq)
