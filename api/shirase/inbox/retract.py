"""Retracting by key: removes notifications from inboxes, and cancels scheduled ones."""

from datetime import UTC, datetime

from shirase.inbox import notifications
from shirase.proxy.publisher import Publisher
from shirase.store import announcements, retention, retract, scheduled
from shirase.store.database import Database

BATCH = 500  # users in one transaction


def retract_from(database: Database, publisher: Publisher, key: str, user_id: str) -> None:
    """Remove a user's notification of this key, if any, and scheduled ones of the same key."""
    with database.transaction() as db:
        appended = retract.retract(db, user_id, key, datetime.now(UTC))
    notifications.publish(database, publisher, appended, datetime.now(UTC))


def retract_from_everyone(database: Database, publisher: Publisher, key: str) -> None:
    """Remove every notification of this key, in batches of users, and its scheduled ones and announcements."""
    with database.transaction() as db:
        scheduled.cancel_key(db, key, None)
        announcements.retract_key(db, key, datetime.now(UTC))
    while True:
        with database.autocommit() as db:
            due = retract.of_key(db, key, BATCH)
        if not due:
            return
        with database.transaction() as db:
            appended = retention.remove(db, due, datetime.now(UTC))
        notifications.publish(database, publisher, appended, datetime.now(UTC))
