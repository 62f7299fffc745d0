"""Removes the rows that a test has stored."""

from collections.abc import Iterable

from sqlalchemy import Connection, delete, select, update

from shirase.store import tables
from shirase.types import Event

TABLES = tables.Base.metadata.tables
streams, events = TABLES["shirase_streams"], TABLES["shirase_events"]
notifications = TABLES["shirase_notifications"]


def remove(db: Connection, appended: Iterable[Event]) -> None:
    """Remove these and all later rows of the same logs; a log that began with them goes as a whole."""
    firsts: dict[str, int] = {}
    for event in appended:
        firsts[event.user_id] = min(event.seq, firsts.get(event.user_id, event.seq))
    for user_id, first in sorted(firsts.items()):
        if first == 1:
            for table in TABLES.values():
                if "user_id" in table.c:
                    db.execute(delete(table).where(table.c.user_id == user_id))
        else:
            _cut(db, user_id, first)


def _cut(db: Connection, user_id: str, first: int) -> None:
    """Reset an older log to its former end."""
    for table in (notifications, events):
        db.execute(delete(table).where(table.c.user_id == user_id, table.c.seq >= first))
    before = {
        row.seq: row for row in db.execute(select(events).where(events.c.user_id == user_id, events.c.seq >= first - 2))
    }
    head, previous = before.get(first - 1), before.get(first - 2)
    stood = {"head": first - 1, "unread": head.unread if head else 0, "unseen": head.unseen if head else 0}
    stood |= {"tag": head.tag if head else "", "previous_tag": previous.tag if previous else ""}
    db.execute(update(streams).where(streams.c.user_id == user_id).values(**stood))
