"""Used tickets: what makes a ticket good for one stream, whichever worker on whichever host it comes to."""

from datetime import datetime
from typing import Any, cast

from sqlalchemy import CursorResult, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from shirase.store import tables
from shirase.store.database import Transaction

used = tables.Base.metadata.tables["shirase_used_tickets"]


def add(transaction: Transaction, ticket_id: str, now: datetime) -> bool:
    """Note that a ticket is used; false if it was before. Of two at once, the second waits for the first's commit."""
    dialect = sqlite if transaction.dialect.name == "sqlite" else postgresql
    adding = dialect.insert(used).values(id=ticket_id, used_at=now).on_conflict_do_nothing().returning(used.c.id)
    return transaction.execute(adding).one_or_none() is not None


def remove(transaction: Transaction, before: datetime, limit: int) -> int:
    """Forget tickets that were used before this time."""
    old = select(used.c.id).where(used.c.used_at < before).order_by(used.c.used_at).limit(limit)
    gone = transaction.execute(delete(used).where(used.c.id.in_(old)))
    return cast(CursorResult[Any], gone).rowcount
