"""The rows that a test has stored: reads announcements, and removes all."""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, delete, func, select, update

from shirase.inbox.announcements import announcement_fields
from shirase.store import announcements as store
from shirase.store import tables
from shirase.testing.recorder import Fields
from shirase.types import Event

TABLES = tables.Base.metadata.tables
streams, events = TABLES["shirase_streams"], TABLES["shirase_events"]
notifications, announcements = TABLES["shirase_notifications"], TABLES["shirase_announcements"]


def announced(db: Connection, ids: Iterable[int]) -> list[Fields]:
    """The announcements with these ids that exist, as the API shows them."""
    return [announcement_fields(row) for number in ids if (row := store.find(db, number))]


def remove(db: Connection, appended: Iterable[Event], announced: Collection[int]) -> None:
    """Remove these events and announcements, and all later rows of the same logs.

    A log that began with one of them goes as a whole.
    """
    taken_over = notifications.c.announcement_id.in_(announced)
    query = select(notifications.c.user_id, func.min(notifications.c.seq).label("first")).where(taken_over)
    firsts: dict[str, int] = {row.user_id: row.first for row in db.execute(query.group_by(notifications.c.user_id))}
    for event in appended:
        firsts[event.user_id] = min(event.seq, firsts.get(event.user_id, event.seq))
    for user_id, first in sorted(firsts.items()):
        if first == 1:
            for table in TABLES.values():
                if "user_id" in table.c:
                    db.execute(delete(table).where(table.c.user_id == user_id))
        else:
            _cut(db, user_id, first)
    db.execute(delete(announcements).where(announcements.c.id.in_(announced)))


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
