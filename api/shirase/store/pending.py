"""Pending work: whether the relay has anything to do. It checks twice a second, nearly always without a result."""

from datetime import datetime

from sqlalchemy import Connection, bindparam, literal, or_, select

from shirase.store import tables
from shirase.store.tables import Moment

erasures = tables.Base.metadata.tables["shirase_erasures"]
connections = tables.Base.metadata.tables["shirase_connections"]
events = tables.Base.metadata.tables["shirase_events"]
missed = tables.Base.metadata.tables["shirase_missed"]
scheduled = tables.Base.metadata.tables["shirase_scheduled"]
announcements = tables.Base.metadata.tables["shirase_announcements"]
notifications = tables.Base.metadata.tables["shirase_notifications"]

_ONE, _NOW = select(literal(1)), bindparam("now", type_=Moment())
_ANYTHING = select(
    or_(  # each has a partial index, which is empty while nothing is pending
        _ONE.where(events.c.published_at.is_(None)).exists(),
        _ONE.select_from(missed).exists(),
        _ONE.select_from(erasures).exists(),
        _ONE.where(notifications.c.expires_at <= _NOW).exists(),
        _ONE.where(scheduled.c.send_at <= _NOW).exists(),
        _ONE.where(announcements.c.spread_at.is_(None)).exists(),
        _ONE.where(announcements.c.retracted_at.is_not(None)).exists(),
        _ONE.where(connections.c.expires_at <= _NOW, connections.c.ended_at.is_(None)).exists(),
        _ONE.where(connections.c.ended_at.is_not(None), connections.c.closing_sent_at.is_(None)).exists(),
    )
)


def anything(db: Connection, now: datetime) -> bool:
    """Whether an event, a closing, an announcement, an erasure, a scheduled notification or an expired row is waiting.

    The relay then runs the individual queries to find out what is due.
    """
    return bool(db.execute(_ANYTHING, {"now": now}).scalar_one())
