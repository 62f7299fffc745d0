"""Erasure: removes every row of a user, in statements that each take a bounded number of rows."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, cast

import orjson
from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    Table,
    and_,
    delete,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from shirase.store import announcements, tables
from shirase.store.advance import appear
from shirase.store.owned import Owned

erasures = tables.Base.metadata.tables["shirase_erasures"]
streams = tables.Base.metadata.tables["shirase_streams"]
connections = tables.Base.metadata.tables["shirase_connections"]
notifications = tables.Base.metadata.tables["shirase_notifications"]
scheduled = tables.Base.metadata.tables["shirase_scheduled"]
members = tables.Base.metadata.tables["shirase_topic_members"]
keys = tables.Base.metadata.tables["shirase_idempotency_keys"]

FIRST = (scheduled, members)  # these would make new rows
LAST = (streams, erasures, connections)  # removed in one transaction, with rows added meanwhile


def request(db: Connection, user_id: str, now: datetime) -> None:
    """Record that a user is to be erased."""
    dialect = sqlite if db.dialect.name == "sqlite" else postgresql
    db.execute(dialect.insert(erasures).values(user_id=user_id, requested_at=now).on_conflict_do_nothing())


def pending(db: Connection, limit: int) -> list[str]:
    """Users whose erasure has not ended, by the time of their request."""
    return list(db.scalars(select(erasures.c.user_id).order_by(erasures.c.requested_at).limit(limit)))


def is_pending(db: Connection, user_id: str) -> bool:
    """Whether a user's erasure was requested and has not ended."""
    return bool(db.execute(select(exists().where(erasures.c.user_id == user_id))).scalar_one())


def declared() -> Iterator[tuple[Table, Owned]]:
    """Every table with what it declares of its rows."""
    for mapper in tables.Base.registry.mappers:
        yield cast(Table, mapper.local_table), mapper.class_.owned


def removed_in_steps() -> list[tuple[Table, Owned]]:
    """The tables whose rows go in steps, in this order."""
    result = [(table, owned) for table, owned in declared() if owned.by and table not in LAST]
    return sorted(result, key=lambda entry: (entry[0] not in FIRST, entry[0].name))


def remove(db: Connection, table: Table, owned: Owned, user_id: str, limit: int | None) -> int:
    """Delete a user's rows of one table, at most ``limit``; returns their number."""
    own = [table.c[name] == user_id for name in owned.by]
    if limit is None:
        return _delete(db, table, or_(*own))
    primary_key = tuple(table.primary_key.columns)
    for condition in own:  # one by one, so that each uses its index
        some = select(*primary_key).where(condition).limit(limit)
        if removed := _delete(db, table, tuple_(*primary_key).in_(some)):
            return removed
    return 0


def remove_all(db: Connection, user_id: str) -> None:
    """Delete what is left of a user, the log last. The caller has locked the user's connections.

    Raises:
        RowsLocked: if another transaction keeps the user's log locked.
    """
    # Locks the log, also one that does not exist: a create for this user waits until the end, and begins a new log.
    appear(db, [user_id])
    db.execute(select(streams.c.user_id).where(streams.c.user_id == user_id).with_for_update())
    for table, owned in removed_in_steps():
        remove(db, table, owned, user_id, None)
    # A closing must still reach every node, and an ended stream must not be recovered. So the rows of ended connections
    # stay for the usual time, without a user.
    nobody = {"user_id": "", "user_agent": "", "address": ""}
    ended = and_(connections.c.user_id == user_id, connections.c.ended_at.is_not(None))  # others have begun meanwhile
    db.execute(update(connections).where(ended).values(nobody))
    for table in (erasures, streams):
        db.execute(delete(table).where(table.c.user_id == user_id))


Key = tuple[str, str]  # of an idempotency key's row: owner and key


def remove_answers(db: Connection, user_id: str, after: Key, limit: int) -> Key | None:
    """Delete the idempotency keys, among the ``limit`` after ``after``, whose answers contain the user's notifications.

    No index finds them, so the whole table is read, in pages.

    Returns:
        The last row that was read; ``None`` at the end of the table.
    """
    page = (
        select(keys.c.owner, keys.c.key)
        .where(tuple_(keys.c.owner, keys.c.key) > tuple_(*after))
        .order_by(keys.c.owner, keys.c.key)
        .limit(limit)
    )
    read = db.execute(page).all()
    if read:
        last: Key = (read[-1].owner, read[-1].key)
        named = f'"user_id":{orjson.dumps(user_id).decode()}'
        position: Any = func.instr if db.dialect.name == "sqlite" else func.strpos
        within = tuple_(keys.c.owner, keys.c.key)
        db.execute(
            delete(keys).where(
                within > tuple_(*after), within <= tuple_(*last), position(keys.c.answer, literal(named)) > 0
            )
        )
    return last if len(read) == limit else None


def _delete(db: Connection, table: Table, which: ColumnElement[bool]) -> int:
    if table is not notifications:
        return cast(CursorResult[Any], db.execute(delete(table).where(which))).rowcount
    gone: Sequence[Any] = db.execute(
        delete(table).where(which).returning(table.c.announcement_id, table.c.read_at)
    ).all()
    announcements.note_gone(db, gone)
    return len(gone)
