"""Scheduled notifications: stored until they are due, and sent by the first relay that takes them."""

import logging
from datetime import UTC, datetime
from typing import Any

from shirase.errors import NotFound, RowsLocked
from shirase.inbox import notifications
from shirase.inbox.notifications import Once
from shirase.proxy.publisher import Publisher
from shirase.store import announcements, keyed, scheduled
from shirase.store.database import Database
from shirase.store.scheduled import Scheduled
from shirase.types import Draft, Stored

logger = logging.getLogger(__name__)

BATCH = 500  # sent in one transaction
BATCHES = 20  # before the relay turns to other work


def schedule(
    database: Database, owner: str, draft: Draft, send_at: datetime, once: Once | None, **announced: Any
) -> tuple[str, bool]:
    """Store a draft until its time. An announcement also has ``topic`` and ``for_newcomers``.

    Returns:
        The id as text, and whether it is that of an earlier request with the same idempotency key.

    Raises:
        KeyReused, KeyInProgress: as by ``notifications.create``.
    """
    now = datetime.now(UTC)
    with database.transaction() as db:
        earlier = notifications.claim(db, once, now)
        if earlier is not None:
            return earlier, True
        number = str(scheduled.add(db, owner, draft, send_at, now, **announced))
        notifications.keep(db, once, number)
    return number, False


def of_owner(database: Database, owner: str, limit: int, after: int) -> list[Scheduled]:
    """A producer's scheduled notifications that have not been sent."""
    with database.autocommit() as db:
        return scheduled.of_owner(db, owner, limit, after)


def cancel(database: Database, owner: str, number: int) -> None:
    """Delete one of a producer's scheduled notifications.

    Raises:
        NotFound: if the producer has none with this id, or it has been sent.
    """
    with database.transaction() as db:
        if not scheduled.cancel(db, owner, number):
            raise NotFound("nothing is scheduled under this id: it was sent, cancelled, or never existed")


def send_due(database: Database, publisher: Publisher) -> int:
    """Send what is due; returns the number. Users whose log is locked are skipped until the next call."""
    sent = 0
    for _ in range(BATCHES):
        with database.autocommit() as db:
            due = scheduled.due(db, datetime.now(UTC), BATCH)
        if not due:
            break
        try:
            taken = _send(database, publisher, due)
        except RowsLocked:
            taken = sum(_send_if_free(database, publisher, number) for number in due)
        sent += taken
        if not taken or len(due) < BATCH:
            break
    return sent


def _send(database: Database, publisher: Publisher, ids: list[int]) -> int:
    now = datetime.now(UTC)
    results: list[Stored] = []
    with database.transaction() as db:
        taken = scheduled.take(db, ids)
        alive = [item for item in taken if not _is_over(item, now)]
        if drafts := [item.draft for item in alive if item.topic is None]:
            results = keyed.put(db, drafts, now, patient=False)
        for item in alive:
            if item.topic is not None:
                announcements.add(db, item.topic, item.draft, now, for_newcomers=item.for_newcomers)
    notifications.publish_stored(database, publisher, results)
    return len(taken)


def _send_if_free(database: Database, publisher: Publisher, number: int) -> int:
    try:
        return _send(database, publisher, [number])
    except RowsLocked:
        logger.info("the log of a user is locked: scheduled notification %d waits", number)
        return 0


def _is_over(item: Scheduled, now: datetime) -> bool:
    expires_at = item.draft.content.expires_at
    return expires_at is not None and expires_at <= now
