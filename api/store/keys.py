"""Idempotency keys: a producer that repeats a request after a lost answer creates nothing twice."""

from datetime import datetime

from sqlalchemy import select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from api import models

keys = models.Base.metadata.tables["idempotency_keys"]


def claim(session: Session, owner: str, key: str, fingerprint: str, now: datetime) -> tuple[str, str] | None:
    """Take the key for this transaction; ``None`` if it was free, else the fingerprint and answer it stands for.

    The row is written in the transaction of the change itself: a request that dies half-way leaves no key behind,
    and a second one with the same key waits here until the first is committed or gone.
    """
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    taken = session.execute(
        dialect.insert(keys)
        .values(owner=owner, key=key, fingerprint=fingerprint, answer="", created_at=now)
        .on_conflict_do_nothing()
        .returning(keys.c.key)
    ).one_or_none()
    if taken is not None:
        return None
    found = session.execute(
        select(keys.c.fingerprint, keys.c.answer).where(keys.c.owner == owner, keys.c.key == key)
    ).one()
    return found.fingerprint, found.answer


def bound_wait(session: Session, seconds: float) -> None:
    """Wait no longer than this for another request with the same key (SQLite's bound is that of every lock)."""
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT set_config('lock_timeout', :value, true)"), {"value": f"{int(seconds * 1000)}ms"})


def answer(session: Session, owner: str, key: str, body: str) -> None:
    """Keep the answer beside the key."""
    session.execute(update(keys).where(keys.c.owner == owner, keys.c.key == key).values(answer=body))
