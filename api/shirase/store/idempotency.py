"""Idempotency keys: a producer that repeats a request after losing the response creates nothing twice."""

from datetime import datetime

from psycopg.errors import LockNotAvailable
from sqlalchemy import Connection, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import OperationalError

from shirase.errors import KeyInProgress
from shirase.store import tables

keys = tables.Base.metadata.tables["shirase_idempotency_keys"]


def claim(db: Connection, owner: str, key: str, fingerprint: str, now: datetime) -> tuple[str, str] | None:
    """Claim the key in this transaction; ``None`` if it was free, else its fingerprint and answer.

    The row is inserted in the transaction of the change itself. So a request that fails half-way leaves no key, and a
    second request with the same key waits here until the first commits or rolls back.

    Raises:
        KeyInProgress: if the first request does not end within ``DATABASE_TIMEOUT``.
    """
    dialect = sqlite if db.dialect.name == "sqlite" else postgresql
    taking = (
        dialect.insert(keys)
        .values(owner=owner, key=key, fingerprint=fingerprint, answer="", created_at=now)
        .on_conflict_do_nothing()
        .returning(keys.c.key)
    )
    try:
        taken = db.execute(taking).one_or_none()
    except OperationalError as exc:
        if isinstance(exc.orig, LockNotAvailable):
            raise KeyInProgress("a request with this idempotency key is still in progress") from exc
        raise
    if taken is not None:
        return None
    query = select(keys.c.fingerprint, keys.c.answer).where(keys.c.owner == owner, keys.c.key == key)
    row = db.execute(query).one_or_none()
    if row is None:  # the relay is deleting it, because it has expired
        raise KeyInProgress("this idempotency key has expired and is being deleted")
    return row.fingerprint, row.answer


def answer(db: Connection, owner: str, key: str, body: str) -> None:
    """Store the answer with its key."""
    db.execute(update(keys).where(keys.c.owner == owner, keys.c.key == key).values(answer=body))
