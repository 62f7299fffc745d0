"""What makes of a task one statement of one text: many rows or values in one parameter, and settings within it.

So it is one round trip, whose text SQLAlchemy makes, and whose plan PostgreSQL makes, once and not for each number.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    FromClause,
    Text,
    any_,
    bindparam,
    cast,
    column,
    func,
    literal,
    select,
    type_coerce,
)
from sqlalchemy.dialects.postgresql import JSON


def rows(dialect: str, name: str, columns: Mapping[str, Any]) -> FromClause:
    """Rows to select from, that the parameter ``name`` holds when the statement runs, as ``document`` makes it.

    By ``json_to_recordset`` in PostgreSQL, by ``json_each`` in SQLite.
    """
    given = bindparam(name, type_=Text())
    if dialect == "sqlite":
        each = func.json_each(given).table_valued("value", name=f"{name}_json")
        fields = [
            type_coerce(func.json_extract(each.c.value, f"$.{field}"), kind).label(field)
            for field, kind in columns.items()
        ]
        # Taken apart once; else SQLite does it again for every row that it joins with.
        return select(*fields).cte(name).prefix_with("MATERIALIZED")
    record = func.json_to_recordset(cast(given, JSON))
    fields_with_types = [column(field, kind) for field, kind in columns.items()]
    return record.table_valued(*fields_with_types, name=name).render_derived(with_types=True)


def document(values: Iterable[Mapping[str, Any]]) -> str:
    """The rows as that parameter."""
    return orjson.dumps(list(values)).decode()


def among(dialect: str, column: ColumnElement[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """Whether the column has one of these values."""
    if dialect == "sqlite":
        given = func.json_each(literal(orjson.dumps(list(values)).decode(), Text())).table_valued("value")
        return column.in_(select(given.c.value))
    return column == any_(literal(list(values), ARRAY(column.type)))


def setting(name: str, value: str) -> ColumnElement[bool]:
    """A condition that always holds and gives a parameter of PostgreSQL this value until the transaction ends.

    For a statement that is a transaction of its own. It is looked at before the first row.
    """
    return select(func.set_config(name, value, True)).scalar_subquery().is_not(None)
