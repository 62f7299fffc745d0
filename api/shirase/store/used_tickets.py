"""Used tickets, shared by all workers and hosts: a ticket opens one stream."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from shirase.store import tables

used = tables.Base.metadata.tables["shirase_used_tickets"]


def add(db: Connection, ticket_id: str, now: datetime) -> bool:
    """Record the use of a ticket; false if it was used before. A concurrent use waits until the first commits."""
    dialect = sqlite if db.dialect.name == "sqlite" else postgresql
    adding = dialect.insert(used).values(id=ticket_id, used_at=now).on_conflict_do_nothing().returning(used.c.id)
    return db.execute(adding).one_or_none() is not None


def remove(db: Connection, before: datetime, limit: int) -> int:
    """Delete the rows of tickets that were used before this time."""
    old = select(used.c.id).where(used.c.used_at < before).order_by(used.c.used_at).limit(limit)
    gone = db.execute(delete(used).where(used.c.id.in_(old)))
    return cast(CursorResult[Any], gone).rowcount
