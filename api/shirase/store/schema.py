"""The database's schema revision, compared with that of this release."""

from dataclasses import dataclass
from functools import cache

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from shirase.store.migrate import configuration
from shirase.store.tables import VERSION_TABLE


@dataclass(frozen=True, slots=True)
class Schema:
    """The database's revision, and those of this release, newest first."""

    current: str | None  # None: there are no tables
    known: tuple[str, ...]

    @property
    def newest(self) -> str:
        """The revision that this release needs."""
        return self.known[0]

    @property
    def is_newer(self) -> bool:
        """Whether a later release has migrated the database; this one runs on its schema (docs/upgrade.md)."""
        return self.current is not None and self.current not in self.known

    @property
    def is_usable(self) -> bool:
        """Whether this release can run on the schema."""
        return self.is_newer or self.current == self.newest

    def __str__(self) -> str:
        """One line for an operator."""
        if self.current is None:
            return "the database has no tables yet"
        if self.is_newer:
            return (
                f"the schema is newer than this release: it is at {self.current}, and this release knows {self.newest}"
            )
        if self.is_usable:
            return f"the schema is up to date: {self.current}"
        return f"the schema is older than this release: it is at {self.current}, and {self.newest} is needed"


def read(connection: Connection, schema: str | None = None) -> Schema:
    """Read the revision of a database."""
    options = {"version_table": VERSION_TABLE, "version_table_schema": schema}
    return Schema(MigrationContext.configure(connection, opts=options).get_current_revision(), read_known())


@cache
def read_known() -> tuple[str, ...]:
    """Every revision of this release, newest first; the files are read once."""
    return tuple(script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions())
