"""Many rows in one parameter, so that a statement is the same text and one round trip whatever the number of rows."""

from collections.abc import Iterable, Mapping
from typing import Any

import orjson
from sqlalchemy import FromClause, Text, cast, column, func, literal, select, type_coerce
from sqlalchemy.dialects.postgresql import JSON
from sqlalchemy.orm import Session


def rows(
    session: Session,
    name: str,
    columns: Mapping[str, Any],
    values: Iterable[Mapping[str, Any]],
) -> FromClause:
    """The values as something to select from: ``json_to_recordset`` in PostgreSQL, ``json_each`` in SQLite."""
    document = literal(orjson.dumps(list(values)).decode(), Text)
    if session.get_bind().dialect.name == "sqlite":
        each = func.json_each(document).table_valued("value", name=f"{name}_json")
        fields = [
            type_coerce(func.json_extract(each.c.value, f"$.{field}"), kind).label(field)
            for field, kind in columns.items()
        ]
        # Taken apart once; else SQLite does it again for every row that it joins with.
        return select(*fields).cte(name).prefix_with("MATERIALIZED")
    record = func.json_to_recordset(cast(document, JSON))
    fields_with_types = [column(field, kind) for field, kind in columns.items()]
    return record.table_valued(*fields_with_types, name=name).render_derived(with_types=True)
