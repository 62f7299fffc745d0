"""A backup of all tables, and a database that goes back to it."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, insert, select

from shirase.store.database import Database
from shirase.store.tables import Base

Backup = Mapping[str, Sequence[dict[str, Any]]]


def take_backup(database: Database) -> Backup:
    """Every row of every table."""
    with database.transaction() as db:
        return {
            name: [dict(row) for row in db.execute(select(*(item.label(item.key) for item in table.c))).mappings()]
            for name, table in Base.metadata.tables.items()
        }


def restore(database: Database, backup: Backup) -> None:
    """Have the database hold these rows and no others."""
    with database.transaction() as db:
        for name, table in Base.metadata.tables.items():
            db.execute(delete(table))
            if backup[name]:
                db.execute(insert(table), backup[name])
