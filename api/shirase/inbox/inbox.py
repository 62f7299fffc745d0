"""The inbox: what a user reads of the notifications, and changes.

Every change is one transaction that locks the log, changes the state and appends the event; then it is published.
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

ATTEMPTS = 3  # to read a page and its position as of one moment; the last one's position is older than its page


@dataclass(frozen=True, slots=True)
class Counts:
    """What a badge shows."""

    unread: int
    unseen: int
    by_category: Mapping[str, int]  # unread


class Page(NamedTuple):
    """One page of a user's list, with the counts and the cursor of the same moment."""

    notifications: list[Notification]
    unread: int
    next_before: int | None  # where the next page begins, if there is one
    cursor: str  # a stream behind it tells all that the page does not show yet


class Updated(NamedTuple):
    """How many notifications a request changed, and how many are unread now."""

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
        user_id: whose.
        limit: notifications on the page.
        before: where the page begins, as the page before returned it.
        at: where the user's log stands, if that is known.
        filters: as ``store.inbox.page`` takes them.
    """
    now = datetime.now(UTC)
    with database.autocommit() as db:
        at = after = at or log.position(db, user_id, now)
        for _ in range(ATTEMPTS):  # until nothing happened in between: each statement reads what is committed by then
            at = after
            found = inbox.page(db, user_id, now, limit=limit + 1, before=before, **filters)
            after = log.position(db, user_id, now)
            if after.last == at.last:
                break
    shown = found[:limit]
    next_before = shown[-1].position if len(found) > limit else None
    return Page(shown, at.unread, next_before, cursors.encode(database.name, user_id, at.last))


def get(database: Database, user_id: str, number: int) -> Notification:
    """One of a user's notifications.

    Raises:
        NotFound: if the user has none of this id, whoever else may.
    """
    with database.autocommit() as db:
        found = inbox.get(db, user_id, number, datetime.now(UTC))
    if found is None:
        raise NotFound("there is no such notification")
    return found


def unread_count(database: Database, user_id: str, at: Position | None = None) -> int:
    """How many a user has not read; ``at`` is where the user's log stands, if that is known."""
    if at is None:
        with database.autocommit() as db:
            at = log.position(db, user_id, datetime.now(UTC))
    return at.unread


def counts(database: Database, user_id: str, at: Position | None = None) -> Counts:
    """How many a user has not read, and not seen; ``at`` is where the user's log stands, if that is known."""
    now = datetime.now(UTC)
    with database.autocommit() as db:
        at = at or log.position(db, user_id, now)
        return Counts(at.unread, at.unseen, inbox.unread_by_category(db, user_id, now))


def mark_read(
    database: Database, publisher: Publisher, user_id: str, ids: Sequence[int] | None, device: str | None = None
) -> Updated:
    """Mark these (``None``: all) of a user's notifications read.

    Ids that are another user's, or nobody's, are passed over alike: the answer does not reveal them. ``device`` is the
    user agent, for traces.
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
    """Archive these (``None``: all) of a user's notifications: they are not listed or counted any more."""
    now = datetime.now(UTC)

    def change(db: Connection, seen: int) -> tuple[list[Change], int]:
        changed = states.archive(db, user_id, ids, now, seen=seen)
        data = {"ids": "all" if ids is None else changed.ids, "archived_at": rfc3339(now)}
        event = Change(user_id, ARCHIVED, data, -changed.unread, -changed.unseen)
        return with_count(event) if changed.ids else [], len(changed.ids)

    return _change(database, publisher, user_id, now, change)


def unarchive(database: Database, publisher: Publisher, user_id: str, ids: Sequence[int]) -> Updated:
    """Bring these of a user's notifications back from the archive, to where they were."""
    now = datetime.now(UTC)

    def change(db: Connection, seen: int) -> tuple[list[Change], int]:
        changed = states.unarchive(db, user_id, ids, now, seen=seen)
        event = Change(user_id, UNARCHIVED, {"ids": changed.ids}, changed.unread, changed.unseen)
        return with_count(event) if changed.ids else [], len(changed.ids)

    return _change(database, publisher, user_id, now, change)


def mark_seen(database: Database, publisher: Publisher, user_id: str) -> None:
    """Count everything up to now as seen, by one number a user."""
    now = datetime.now(UTC)

    def change(db: Connection, _seen: int) -> tuple[list[Change], int]:
        unseen = states.mark_seen(db, user_id)
        return [Change(user_id, SEEN, unseen=-unseen)] if unseen else [], unseen

    _change(database, publisher, user_id, now, change)


def delete(database: Database, publisher: Publisher, user_id: str, number: int) -> None:
    """Remove one of a user's notifications.

    Raises:
        NotFound: if the user has none of this id, whoever else may.
    """
    now = datetime.now(UTC)

    def change(db: Connection, seen: int) -> tuple[list[Change], int]:
        gone = states.remove(db, user_id, number, now, seen=seen)
        if not gone.ids:
            raise NotFound("there is no such notification")
        return [Change(user_id, DELETED, {"ids": gone.ids}, -gone.unread, -gone.unseen)], 1

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
