"""Pass many rows as one JSON parameter, so that the SQL text stays constant.

One statement is one round trip. A constant text is compiled by SQLAlchemy and planned by PostgreSQL once, whatever the
number of rows.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import orjson
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    String,
    Table,
    Text,
    any_,
    bindparam,
    cast,
    column,
    func,
    literal,
    literal_column,
    select,
    type_coerce,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import JSON


def rows(dialect: str, name: str, columns: Mapping[str, Any]) -> FromClause:
    """A row source that reads the parameter ``name``, a JSON document made by ``document``.

    It is ``json_to_recordset`` on PostgreSQL and ``json_each`` on SQLite.
    """
    parameter = bindparam(name, type_=Text())
    if dialect == "sqlite":
        elements = func.json_each(parameter).table_valued("value", name=f"{name}_json")
        fields = [
            type_coerce(func.json_extract(elements.c.value, f"$.{field}"), kind).label(field)
            for field, kind in columns.items()
        ]
        # Without MATERIALIZED, SQLite parses the document again for every joined row.
        return select(*fields).cte(name).prefix_with("MATERIALIZED")
    record = func.json_to_recordset(cast(parameter, JSON))
    fields_with_types = [column(field, kind) for field, kind in columns.items()]
    return record.table_valued(*fields_with_types, name=name).render_derived(with_types=True)


def document(values: Iterable[Mapping[str, Any]]) -> str:
    """Encode rows as the parameter of ``rows``."""
    return orjson.dumps(list(values)).decode()


def among(dialect: str, column: ColumnElement[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """The condition that the column has one of these values, passed as one parameter."""
    if dialect == "sqlite":
        return _in_json(column, literal(listed(dialect, values), Text()))
    return column == any_(literal(list(values), ARRAY(column.type)))


def among_listed(dialect: str, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
    """The same for a statement that is built once; the parameter ``name`` is made by ``listed``."""
    if dialect == "sqlite":
        return _in_json(column, bindparam(name, type_=Text()))
    return column == any_(bindparam(name, type_=ARRAY(column.type)))


def listed(dialect: str, values: Collection[Any]) -> Any:
    """Encode values as the parameter of ``among_listed``."""
    return orjson.dumps(list(values)).decode() if dialect == "sqlite" else list(values)


def _in_json(column: ColumnElement[Any], parameter: ColumnElement[Any]) -> ColumnElement[bool]:
    elements = func.json_each(parameter).table_valued("value")
    return column.in_(select(elements.c.value))


def constant(value: int | str) -> ColumnElement[Any]:
    """A constant of our own, as text of the statement: a parameter costs the driver time at each execution."""
    if isinstance(value, int):
        return literal_column(str(value), Integer())
    return literal_column("'" + value.replace("'", "''") + "'", String())


def upsert(db: Connection, table: Table, values: Mapping[str, Any]) -> None:
    """Insert a row, or change the present one of its primary key."""
    module = sqlite if db.dialect.name == "sqlite" else postgresql
    keys = [column.name for column in table.primary_key]
    changed = {name: value for name, value in values.items() if name not in keys}
    db.execute(module.insert(table).values(**values).on_conflict_do_update(index_elements=keys, set_=changed))


def setting(name: str, value: str) -> ColumnElement[bool]:
    """A condition that is always true and sets a PostgreSQL parameter until the transaction ends.

    It lets a statement in autocommit carry its own settings. PostgreSQL evaluates it before the first row.
    """
    return select(func.set_config(name, value, True)).scalar_subquery().is_not(None)
