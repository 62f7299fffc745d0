"""Announcements: stored once for any number of users, and taken over by users who connect, list or are connected."""

import logging
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from shirase import metrics
from shirase.errors import DatabaseReadOnly, NotFound, RowsLocked
from shirase.fields import rfc3339, to_json
from shirase.inbox import notifications, replay
from shirase.inbox.notifications import Once
from shirase.proxy.publisher import Publisher
from shirase.store import announcements, retention, topics
from shirase.store.advance import IMPATIENCE, appear
from shirase.store.database import Database
from shirase.store.take_over import TakenOver, take_over
from shirase.types import Announcement, Draft, Position

logger = logging.getLogger(__name__)

CONNECTED = 10_000  # users read at a time
SPREAD = 1000  # users whose logs are locked in one transaction
BATCH = 500  # notifications removed in one transaction
BATCHES = 20  # before other work of the relay
NOT_FOUND = "there is no such announcement: it was deleted, is older than what is kept, or never was"


def announce(
    database: Database,
    topic: str,
    draft: Draft,
    *,
    for_newcomers: bool,
    once: Once | None,
    answer: Callable[[Announcement], str],
) -> tuple[str, bool]:
    """Make an announcement.

    Returns:
        The answer, and whether it is that of an earlier request with the same idempotency key.

    Raises:
        KeyReused, KeyInProgress: as by ``notifications.create``.
    """
    now = datetime.now(UTC)
    with database.transaction() as db:
        earlier = notifications.claim(db, once, now)
        if earlier is not None:
            return earlier, True
        body = answer(announcements.add(db, topic, draft, now, for_newcomers=for_newcomers))
        notifications.keep(db, once, body)
    metrics.ANNOUNCED.inc()
    return body, False


def find(database: Database, number: int) -> tuple[Announcement, int]:
    """One announcement with how many users it has reached, and how many connected users have not considered it.

    Raises:
        NotFound: if it was deleted, is older than what is kept, or never was.
    """
    with database.autocommit() as db:
        announcement = announcements.find(db, number)
        waiting = announcements.waiting(db, number) if announcement else 0
    if announcement is None:
        raise NotFound(NOT_FOUND)
    return announcement, waiting


def page(database: Database, limit: int, before: int | None) -> tuple[list[Announcement], int | None]:
    """A page of announcements, the latest first, and the ``before`` of the next page."""
    with database.autocommit() as db:
        rows = announcements.page(db, limit + 1, before)
    shown = rows[:limit]
    return shown, shown[-1].id if len(rows) > limit else None


def retract(database: Database, publisher: Publisher, number: int) -> None:
    """Delete an announcement: users take it over no more, and it is removed from inboxes.

    The relay continues after some thousand inboxes.

    Raises:
        NotFound: if there is none.
    """
    with database.transaction() as db:
        if not announcements.retract(db, number, datetime.now(UTC)):
            raise NotFound(NOT_FOUND)
    remove(database, publisher, number)


def remove(database: Database, publisher: Publisher, number: int) -> int:
    """Remove a retracted announcement from some batches of inboxes; returns from how many."""
    done = 0
    for _ in range(BATCHES):
        with database.autocommit() as db:
            due = announcements.taken_over(db, number, BATCH)
        if not due:
            with database.transaction() as db:
                announcements.remove(db, number)
            break
        with database.transaction() as db:
            appended = retention.remove(db, due, datetime.now(UTC))
        notifications.publish(database, publisher, appended, datetime.now(UTC))
        done += len(due)
    return done


def arrive(
    database: Database,
    publisher: Publisher,
    user_id: str,
    named: Collection[str] | None,
    at: Position | None = None,
    *,
    patient: bool = False,
) -> Position:
    """Have a user take over announcements; returns the log's position after it.

    Nothing is appended in a read-only database, or, unless ``patient``, to a locked log.

    Args:
        database: where logs are.
        publisher: publishes the events to the user's devices.
        user_id: the user.
        named: the topics in the user's token; ``None`` if it has no such claim.
        at: the log's position, if already read.
        patient: whether to wait for a locked log, because no later call will follow soon.
    """
    if at is None:
        at = replay.position(database, user_id, topics.digest(named))
    if not at.has_news:
        if not at.is_known:
            _begin_log(database, user_id)
        return at
    with suppress(DatabaseReadOnly, *([] if patient else [RowsLocked])):
        while not _take_over(database, publisher, user_id, named, patient=patient).complete:
            pass
    return replay.position(database, user_id)


def _take_over(
    database: Database, publisher: Publisher, user_id: str, named: Collection[str] | None, *, patient: bool
) -> TakenOver:
    patience = None if patient else IMPATIENCE
    with database.transaction(patient=patient) as db:
        taken = take_over(db, [user_id], datetime.now(UTC), claimed=named, patience=patience)
    notifications.publish_stored(database, publisher, taken.stored)
    return taken


def spread(database: Database, publisher: Publisher) -> int:
    """Have connected users take over announcements; returns how many still lack some because their logs are locked."""
    while True:
        with database.autocommit() as db:
            behind = announcements.behind(db, CONNECTED)
        for user_id, is_known in behind:
            if not is_known:
                _begin_log(database, user_id)
        if behind and not _spread_to(database, publisher, [user_id for user_id, _ in behind]):
            logger.info("the logs of %d connected users are locked: announcements wait", len(behind))
            return len(behind)
        if not behind:
            return 0


def _spread_to(database: Database, publisher: Publisher, users: Sequence[str]) -> int:
    """Have these users take over; returns how many did. One batch is published while the next is appended."""
    reached = 0
    published: Future[None] | None = None
    with ThreadPoolExecutor(1, "spread") as beside:
        for first in range(0, len(users), SPREAD):
            with database.transaction() as db:
                some = users[first : first + SPREAD]
                taken = take_over(db, some, datetime.now(UTC), patience=IMPATIENCE, skip_locked=True)
            reached += taken.users
            metrics.SPREAD.inc(len(taken.stored))
            if published:
                published.result()
            published = beside.submit(notifications.publish_stored, database, publisher, taken.stored)
        if published:
            published.result()
    return reached


def _begin_log(database: Database, user_id: str) -> None:
    """Begin a user's log, unless another transaction is doing so."""
    with (
        suppress(DatabaseReadOnly, RowsLocked),
        database.transaction(single_statement=True, durable=False, patient=False) as db,
    ):
        appear(db, [user_id], patient=False)


def change_members(database: Database, topic: str, add: Collection[str], remove: Collection[str]) -> tuple[int, int]:
    """Change a topic's members; returns how many were added and removed."""
    with database.transaction() as db:
        return topics.change(db, topic, add, remove)


def members(database: Database, topic: str, limit: int, after: str) -> tuple[list[str], str | None]:
    """A page of a topic's members in the order of their ids, and the ``after`` of the next page."""
    with database.autocommit() as db:
        user_ids = topics.page(db, topic, limit + 1, after)
    return user_ids[:limit], user_ids[limit - 1] if len(user_ids) > limit else None


def delete_topic(database: Database, topic: str) -> None:
    """Remove every member, in batches."""
    while True:
        with database.autocommit() as db:
            user_ids = topics.page(db, topic, SPREAD)
        if not user_ids:
            return
        with database.transaction() as db:
            topics.delete(db, topic, user_ids)


def announcement_fields(announcement: Announcement) -> dict[str, Any]:
    """An announcement as JSON shows it."""
    return {
        "id": announcement.id,
        "topic": announcement.topic,
        **to_json(announcement.draft.content),
        "for_newcomers": announcement.for_newcomers,
        "fold": announcement.draft.fold,
        "quiet": announcement.draft.quiet,
        "created_at": rfc3339(announcement.created_at),
        "reached": announcement.reached,
        "read": announcement.read,
    }
