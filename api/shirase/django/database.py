"""Django's own connection, as the product takes a database.

SQLAlchemy is lent the driver's connection that Django has open, and never begins, commits, rolls back or closes it.
So what the store writes belongs to the ``transaction.atomic()`` around it, and Django's pool, options and tests hold.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from django.db import InterfaceError, OperationalError, connections, transaction
from sqlalchemy import Connection, Engine, NullPool, create_engine
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import DBAPIError

from shirase.errors import DatabaseUnavailable
from shirase.store.database import Database, join, named_errors

VENDORS = ("postgresql", "sqlite")


class _Lent:
    """A connection that is its owner's to begin, commit, roll back and close."""

    def on_connect(self) -> Any:
        """Leave it as it is."""

    def do_begin(self, connection: Any) -> None:
        """The owner has, or will not."""

    do_commit = do_rollback = do_close = do_terminate = do_begin


class LentPsycopg(_Lent, PGDialect_psycopg):
    """PostgreSQL."""

    supports_statement_cache = True


class LentSqlite(_Lent, SQLiteDialect_pysqlite):
    """SQLite."""

    supports_statement_cache = True


registry.register("postgresql.lent", __name__, LentPsycopg.__name__)
registry.register("sqlite.lent", __name__, LentSqlite.__name__)


class DjangoDatabase(Database):
    """The transactions of one of a site's connections."""

    def __init__(self, alias: str, timeout: float, schema: str | None) -> None:
        """Prepare, without connecting; ``timeout`` bounds transactions of ours, not those of the site."""
        self._alias = alias
        self._timeout = timeout
        self._schema = schema
        self._sqlite = connections[alias].vendor == "sqlite"
        self.engine = _engine(alias)

    @contextmanager
    def borrow(self) -> Iterator[Connection]:
        """The connection of this thread, inside whatever transaction it is in."""
        connections[self._alias].ensure_connection()
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def within(self) -> Iterator[Connection]:
        """The site's transaction, for the store; errors are raised as Django raises the driver's."""
        lent = connections[self._alias]
        try:
            with self.borrow() as connection, join(connection, self._schema) as joined:
                yield joined
        except DBAPIError as exc:
            if exc.orig is None:
                raise
            with lent.wrap_database_errors:
                raise exc.orig from exc

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        lent = connections[self._alias]
        is_ours = not lent.in_atomic_block
        try:
            with (
                named_errors(),
                transaction.atomic(using=self._alias),
                self.borrow() as connection,
                join(connection, self._schema) as joined,
            ):
                if is_ours and not self._sqlite:
                    self._bound(connection)
                yield joined
        except (OperationalError, InterfaceError) as exc:  # Django's, of the connection or of the commit
            raise DatabaseUnavailable("the database does not answer") from exc
        except DatabaseUnavailable:
            lent.errors_occurred = True  # so that Django looks whether the connection is still good
            raise

    @contextmanager
    def _begun(
        self,
        first: Sequence[str],
        *,
        durable: bool,  # noqa: ARG002 - Django's are its options
        patient: bool,  # noqa: ARG002
    ) -> Iterator[Connection]:
        with self._opened() as joined:  # begun by Django
            if first and not self._sqlite:
                joined.exec_driver_sql("; ".join(first))
            yield joined

    def _bound(self, connection: Connection) -> None:
        milliseconds = int(self._timeout * 1000)
        connection.exec_driver_sql(
            f"SELECT set_config('statement_timeout', '{milliseconds}', true),"
            f" set_config('lock_timeout', '{milliseconds * 9 // 10}', true)"
        )


def _engine(alias: str) -> Engine:
    return create_engine(
        f"{connections[alias].vendor}+lent://",
        creator=lambda: connections[alias].connection,
        poolclass=NullPool,
        hide_parameters=True,
        **({} if connections[alias].vendor == "sqlite" else {"use_native_hstore": False}),
    )
