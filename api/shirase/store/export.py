"""Export: a user's rows, table by table, in pages."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Table, and_, select, tuple_

from shirase.fields import rfc3339
from shirase.store.erasure import declared
from shirase.store.owned import Owned

Row = dict[str, Any]


def tables_of_users() -> list[tuple[Table, Owned, int]]:
    """The parts of an export, in order: the table, its rule, and which of the rule's columns names the user."""
    result = sorted((item for item in declared() if item[1].exported), key=lambda entry: entry[0].name)
    return [(table, owned, column) for table, owned in result for column in range(len(owned.by))]


def page(
    db: Connection, table: Table, owned: Owned, column: int, user_id: str, after: tuple[Any, ...] | None, limit: int
) -> tuple[list[Row], tuple[Any, ...] | None]:
    """One page of a user's rows, and the position after which the next begins; ``None`` if this is the last.

    A row that names the user in several columns is exported once.
    """
    order = [table.c[name] for name in _order(table, owned)]
    query = select(*(item.label(item.key) for item in table.c)).where(table.c[owned.by[column]] == user_id)
    query = query.where(and_(True, *(table.c[name] != user_id for name in owned.by[:column])))
    if after is not None:
        query = query.where(tuple_(*order) > tuple_(*after))
    rows = db.execute(query.order_by(*order).limit(limit)).mappings().all()
    last = tuple(rows[-1][item.key] for item in order) if len(rows) == limit and order else None
    return [dict(_shown(owned, row)) for row in rows], last


def _order(table: Table, owned: Owned) -> tuple[str, ...]:
    primary_key = (column.name for column in table.primary_key)
    return owned.order or tuple(name for name in primary_key if name not in owned.by)


def _shown(owned: Owned, row: Any) -> Iterator[tuple[str, Any]]:
    for name, value in row.items():
        if name in owned.withheld:
            continue
        if isinstance(value, datetime):
            yield str(name), rfc3339(value)
        elif name in owned.json and value is not None:
            yield str(name), orjson.Fragment(value)
        else:
            yield str(name), value
