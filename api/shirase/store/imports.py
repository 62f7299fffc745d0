"""Storing what another system has sent before: with its own times, each once, however often it is imported."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache

from sqlalchemy import BigInteger, Connection, Executable, update

from shirase.fields import rfc3339
from shirase.store import keyed, log, tables
from shirase.store.append import append_notifications
from shirase.store.changes import Change, append_changes
from shirase.store.sql import document, rows
from shirase.store.tables import Moment
from shirase.types import PUBLISH, READ, Draft, Event, Published

notifications = tables.Base.metadata.tables["shirase_notifications"]

Times = tuple[datetime, datetime | None]  # created, read


def store(db: Connection, drafts: Sequence[Draft], times: Mapping[tuple[str, str], Times], now: datetime) -> int:
    """Store those of these drafts whose key the user does not have; returns how many that were.

    No device is notified of them one by one: their events count as published, and a stream that is open gets them with
    its next event.

    Args:
        db: a transaction that writes.
        drafts: in order, each with another key of its user.
        times: by user and key.
        now: when they are imported.
    """
    keyed.lock(db, sorted({draft.user_id for draft in drafts}))
    there = keyed.present(db, times)
    fresh = [draft for draft in drafts if keyed.whose(draft) not in there]
    if not fresh:
        return 0
    appended = append_notifications(db, fresh, now)
    read: dict[str, list[int]] = {}
    changed = []
    for draft, event in zip(fresh, appended, strict=True):
        created_at, read_at = times[keyed.whose(draft)]
        assert event.notification  # noqa: S101 - an append has one
        row = {"id": event.notification.id, "created_at": rfc3339(created_at)}
        changed.append(row | ({"read_at": rfc3339(read_at)} if read_at else {}))
        if read_at:
            read.setdefault(draft.user_id, []).append(event.notification.id)
    db.execute(_set_times(db.dialect.name), {"times": document(changed)})
    appended += _mark_read(db, read, now)
    published = [Published(event, frozenset()) for event in appended]
    log.mark_published(db, published, now, way=PUBLISH, committed_at=None)
    return len(fresh)


def _mark_read(db: Connection, read: Mapping[str, list[int]], now: datetime) -> list[Event]:
    changes = [
        Change(user_id, READ, {"ids": ids, "read_at": rfc3339(now)}, -len(ids), -len(ids))
        for user_id, ids in sorted(read.items())
    ]
    return append_changes(db, changes, now) if changes else []


@cache
def _set_times(dialect: str) -> Executable:
    times = rows(dialect, "times", {"id": BigInteger(), "created_at": Moment(), "read_at": Moment()})
    statement = update(notifications).where(notifications.c.id == times.c.id)
    return statement.values(created_at=times.c.created_at, read_at=times.c.read_at)
