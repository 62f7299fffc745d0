"""The inbox: reading a user's notifications, and changing their state.

Every change is one transaction that locks the log, changes the state and appends the event; afterwards it is published.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from shirase.errors import NotFound
from shirase.fields import rfc3339
from shirase.inbox import cursors, notifications
from shirase.proxy.publisher import Publisher
from shirase.store import inbox, log, states
from shirase.store.changes import Change, append_changes, with_count
from shirase.store.database import Database
from shirase.types import ARCHIVED, DELETED, READ, SEEN, UNARCHIVED, UNREAD, Notification, Position

ATTEMPTS = 3  # to read a page and its position as of one moment; after the last, the position may be older


@dataclass(frozen=True, slots=True)
class Counts:
    """The counts of a badge."""

    unread: int
    unseen: int
    by_category: Mapping[str, int]  # unread


class Page(NamedTuple):
    """One page of a user's list, with the counts and the cursor of the same moment."""

    notifications: list[Notification]
    unread: int
    next_before: int | None  # ``before`` of the next page, if there is one
    cursor: str  # a stream that begins here has every event that the page lacks


class Updated(NamedTuple):
    """The number of notifications that a request changed, and of those that are unread now."""

    updated: int
    unread: int


def page(
    database: Database,
    user_id: str,
    *,
    limit: int,
    before: int | None = None,
    at: Position | None = None,
    **filters: Any,
) -> Page:
    """One page of a user's list.

    Args:
        database: where they are stored.
        user_id: the user.
        limit: notifications on the page.
        before: ``next_before`` of the page before.
        at: the position of the user's log, if already read.
        filters: see ``store.inbox.page``.
    """
    now = datetime.now(UTC)
    with database.autocommit() as db:
        at = after = at or log.position(db, user_id, now)
        for _ in range(ATTEMPTS):  # until nothing is committed in between, since each statement has its own snapshot
            at = after
            rows = inbox.page(db, user_id, now, limit=limit + 1, before=before, **filters)
            after = log.position(db, user_id, now)
            if after.last == at.last:
                break
    listed = rows[:limit]
    next_before = listed[-1].position if len(rows) > limit else None
    return Page(listed, at.unread, next_before, cursors.encode(database.name, user_id, at.last))


def get(database: Database, user_id: str, number: int) -> Notification:
    """One of a user's notifications.

    Raises:
        NotFound: if the user has none with this id, even if another user has.
    """
    with database.autocommit() as db:
        notification = inbox.get(db, user_id, number, datetime.now(UTC))
    if notification is None:
        raise NotFound("there is no such notification")
    return notification


def unread_count(database: Database, user_id: str, at: Position | None = None) -> int:
    """The number of a user's unread notifications; ``at`` is the position of the log, if already read."""
    if at is None:
        with database.autocommit() as db:
            at = log.position(db, user_id, datetime.now(UTC))
    return at.unread


def counts(database: Database, user_id: str, at: Position | None = None) -> Counts:
    """A user's counts of unread and unseen; ``at`` is the position of the log, if already read."""
    now = datetime.now(UTC)
    with database.autocommit() as db:
        at = at or log.position(db, user_id, now)
        return Counts(at.unread, at.unseen, inbox.unread_by_category(db, user_id, now))


def mark_read(
    database: Database, publisher: Publisher, user_id: str, ids: Sequence[int] | None, device: str | None = None
) -> Updated:
    """Mark these (``None``: all) of a user's notifications read.

    Ids of other users are ignored like unknown ones, so the answer does not reveal them. ``device`` is the user agent,
    for traces.
    """
    now = datetime.now(UTC)

    def change(db: Connection, seen: int) -> tuple[list[Change], int]:
        changed = states.mark_read(db, user_id, ids, now, seen=seen, device=device)
        data = {"ids": "all" if ids is None else changed.ids, "read_at": rfc3339(now)}
        event = Change(user_id, READ, data, -changed.unread, -changed.unseen)
        return [event] if changed.ids else [], len(changed.ids)

    return _change(database, publisher, user_id, now, change)


def mark_unread(database: Database, publisher: Publisher, user_id: str, ids: Sequence[int]) -> Updated:
    """Mark these of a user's notifications unread again."""
    now = datetime.now(UTC)

    def change(db: Connection, seen: int) -> tuple[list[Change], int]:
        changed = states.mark_unread(db, user_id, ids, now, seen=seen)
        event = Change(user_id, UNREAD, {"ids": changed.ids}, changed.unread, changed.unseen)
        return with_count(event) if changed.ids else [], len(changed.ids)

    return _change(database, publisher, user_id, now, change)


def archive(database: Database, publisher: Publisher, user_id: str, ids: Sequence[int] | None) -> Updated:
    """Archive these (``None``: all) of a user's notifications, which removes them from list and counts."""
    now = datetime.now(UTC)

    def change(db: Connection, seen: int) -> tuple[list[Change], int]:
        changed = states.archive(db, user_id, ids, now, seen=seen)
        data = {"ids": "all" if ids is None else changed.ids, "archived_at": rfc3339(now)}
        event = Change(user_id, ARCHIVED, data, -changed.unread, -changed.unseen)
        return with_count(event) if changed.ids else [], len(changed.ids)

    return _change(database, publisher, user_id, now, change)


def unarchive(database: Database, publisher: Publisher, user_id: str, ids: Sequence[int]) -> Updated:
    """Unarchive these of a user's notifications; each returns to its position in the list."""
    now = datetime.now(UTC)

    def change(db: Connection, seen: int) -> tuple[list[Change], int]:
        changed = states.unarchive(db, user_id, ids, now, seen=seen)
        event = Change(user_id, UNARCHIVED, {"ids": changed.ids}, changed.unread, changed.unseen)
        return with_count(event) if changed.ids else [], len(changed.ids)

    return _change(database, publisher, user_id, now, change)


def mark_seen(database: Database, publisher: Publisher, user_id: str) -> None:
    """Mark everything up to now as seen. It is stored as one position a user."""
    now = datetime.now(UTC)

    def change(db: Connection, _seen: int) -> tuple[list[Change], int]:
        unseen = states.mark_seen(db, user_id)
        return [Change(user_id, SEEN, unseen=-unseen)] if unseen else [], unseen

    _change(database, publisher, user_id, now, change)


def delete(database: Database, publisher: Publisher, user_id: str, number: int) -> None:
    """Remove one of a user's notifications.

    Raises:
        NotFound: if the user has none with this id, even if another user has.
    """
    now = datetime.now(UTC)

    def change(db: Connection, seen: int) -> tuple[list[Change], int]:
        removed = states.remove(db, user_id, number, now, seen=seen)
        if not removed.ids:
            raise NotFound("there is no such notification")
        return [Change(user_id, DELETED, {"ids": removed.ids}, -removed.unread, -removed.unseen)], 1

    _change(database, publisher, user_id, now, change)


def _change(
    database: Database,
    publisher: Publisher,
    user_id: str,
    now: datetime,
    change: Callable[[Connection, int], tuple[list[Change], int]],
) -> Updated:
    """Lock the user's log, change the state, append what changed, commit, publish."""
    with database.transaction() as db:
        seen = log.lock(db, [user_id]).get(user_id, 0)
        changes, updated = change(db, seen)
        appended = append_changes(db, changes, now) if changes else []
        count = log.position(db, user_id, now).unread
    committed_at = datetime.now(UTC)
    notifications.name_events(appended)
    notifications.publish(database, publisher, appended, committed_at)
    return Updated(updated, count)
