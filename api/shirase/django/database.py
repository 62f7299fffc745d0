"""Django's own connection with the interface of ``Database``.

SQLAlchemy borrows the driver's connection that Django has opened, and never begins, commits, rolls back or closes it.
So the store writes in the surrounding ``transaction.atomic()``, and Django's pool, options and test cases work.
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
    """A dialect that leaves begin, commit, rollback and close to the connection's owner."""

    def on_connect(self) -> Any:
        """Do nothing."""

    def do_begin(self, connection: Any) -> None:
        """Do nothing: transactions are the owner's."""

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
        """Prepare, without connecting; ``timeout`` bounds our transactions, not those of the site."""
        self._alias = alias
        self._timeout = timeout
        self._schema = schema
        self._sqlite = connections[alias].vendor == "sqlite"
        self.engine = _engine(alias)

    @contextmanager
    def borrow(self) -> Iterator[Connection]:
        """Borrow this thread's connection, with its open transaction, if any."""
        connections[self._alias].ensure_connection()
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def within(self) -> Iterator[Connection]:
        """The site's transaction, for the store. Errors are raised as Django's."""
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
        except (OperationalError, InterfaceError) as exc:  # Django's error, of the connection or of the commit
            raise DatabaseUnavailable("the database does not answer") from exc
        except DatabaseUnavailable:
            lent.errors_occurred = True  # so that Django checks whether the connection still works
            raise

    @contextmanager
    def _begun(
        self,
        first: Sequence[str],
        *,
        durable: bool,  # noqa: ARG002 - Django's options decide
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
