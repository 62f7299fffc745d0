"""The database: one engine, which opens transactions for writing and autocommit connections for reading."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property, partial
from sqlite3 import SQLITE_BUSY, SQLITE_FULL, SQLITE_READONLY
from typing import Any
from weakref import ref

from psycopg.errors import (
    DiskFull,
    LockNotAvailable,
    ReadOnlySqlTransaction,
    UndefinedColumn,
    UndefinedTable,
)
from sqlalchemy import Connection, Engine, create_engine, event, select, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from shirase.database_url import DatabaseUrl, read
from shirase.errors import DatabaseReadOnly, DatabaseUnavailable, RowsLocked, SchemaMismatch, SettingsError
from shirase.store.sessions import Sessions, is_behind_pooler
from shirase.store.tables import DatabaseNameRow

IMPATIENCE = 100  # milliseconds to wait for a lock when the caller has a fallback
POOL_SIZE = 8  # one connection a thread of a worker


class Database:
    """Opens transactions. Safe to share between threads, and to make before a fork."""

    def __init__(self, url: str, timeout: float = 10.0, schema: str | None = None) -> None:
        """Prepare, without connecting.

        Args:
            url: as in ``DATABASE_URL``.
            timeout: seconds that a connection, a lock or a statement may take.
            schema: as in ``DATABASE_SCHEMA``.

        Raises:
            SettingsError: if the address cannot be used, or SQLite is to have a schema.
        """
        address = parse_url(url, schema)
        self._sqlite = address.url.get_backend_name() == "sqlite"
        self._timeout = timeout
        self.sessions_opened = 0
        options: dict[str, Any] = {"connect_args": {"timeout": timeout}}
        if not self._sqlite:
            self.sessions = Sessions(address, timeout, schema or address.schema)
            options = {"connect_args": self.sessions.connect_arguments(), "use_native_hstore": False}
        self.engine = create_engine(
            address.url,
            hide_parameters=True,  # error messages would quote the values of the statement
            pool_size=min(POOL_SIZE, address.connection_limit or POOL_SIZE),
            max_overflow=max(0, min(POOL_SIZE, (address.connection_limit or 2 * POOL_SIZE) - POOL_SIZE)),
            pool_timeout=timeout,
            isolation_level="AUTOCOMMIT",  # BEGIN is sent explicitly where it is needed
            **options,
        )
        event.listen(self.engine, "connect", self._count_session)
        os.register_at_fork(after_in_child=partial(_drop_connections, ref(self.engine)))
        if self._sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
        else:
            self.sessions.attend(self.engine)

    @contextmanager
    def transaction(
        self,
        *,
        durable: bool = True,
        lock: int | None = None,
        single_statement: bool = False,
        patient: bool = True,
    ) -> Iterator[Connection]:
        """A write transaction: committed at the end, rolled back if an exception leaves it.

        Args:
            durable: whether the commit waits for the disk. Without it a power cut may undo the commit, which suits
                what can be rebuilt, such as the registry of connections.
            lock: run alone among the transactions with the same number, a signed 64-bit integer.
            single_statement: each statement is independent and carries its settings (``sql.setting``). PostgreSQL
                then commits each one without the round trips of BEGIN and COMMIT. SQLite needs several statements for
                the same work, so it still runs one transaction.
            patient: wait for SQLite's write lock up to the timeout; else fail after ``IMPATIENCE`` (``RowsLocked``).
        """
        if single_statement and not self._sqlite:
            with self._opened() as db:
                yield db
            return
        first = [] if durable else ["SET LOCAL synchronous_commit TO off"]
        first += [] if lock is None else [f"SELECT pg_advisory_xact_lock({lock:d})"]
        with self._begun(first, durable=durable, patient=patient) as db:
            yield db

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """A connection for reading: each statement sees what was committed before it, and no transaction is open."""
        with self._opened() as db:
            yield db

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        """A connection in autocommit.

        Behind a pooler it is a transaction instead, because settings cannot outlive one there.
        """
        with named_errors(), self.engine.connect() as connection:
            through_pooler = is_behind_pooler(connection)
            if through_pooler:
                connection.exec_driver_sql(self.sessions.begin_through_pooler)
            yield connection
            if through_pooler:
                connection.commit()

    @contextmanager
    def _begun(self, first: Sequence[str], *, durable: bool, patient: bool) -> Iterator[Connection]:
        """A transaction. ``first`` is for PostgreSQL alone: SQLite has one writer at a time and needs no locks."""
        with named_errors(), self.engine.connect() as db:
            if self._sqlite:
                # Set each time, because durable and other transactions share pooled connections.
                db.exec_driver_sql(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                # Take the write lock at the start: upgrading from a read lock later can fail half-way.
                self._begin_sqlite(db, patient=patient)
            else:
                begin = self.sessions.begin_through_pooler if is_behind_pooler(db) else "BEGIN"
                db.exec_driver_sql("; ".join([begin, *first]))  # one round trip
            yield db
            db.commit()

    def _begin_sqlite(self, db: Connection, *, patient: bool) -> None:
        if patient:
            db.exec_driver_sql("BEGIN IMMEDIATE")
            return
        db.exec_driver_sql(f"PRAGMA busy_timeout={IMPATIENCE}")
        try:
            db.exec_driver_sql("BEGIN IMMEDIATE")
        except OperationalError as exc:
            if getattr(exc.orig, "sqlite_errorcode", 0) & 0xFF == SQLITE_BUSY:
                raise RowsLocked("another transaction is writing to the database") from exc
            raise
        finally:
            db.exec_driver_sql(f"PRAGMA busy_timeout={int(self._timeout * 1000)}")

    def _count_session(self, _connection: Any, _record: object) -> None:
        """Count it for those who keep a copy in memory: a crash has undone commits that were not durable."""
        self.sessions_opened += 1

    def accepts_writes(self) -> bool:
        """Whether the database accepts writes now.

        Raises:
            DatabaseUnavailable: if the database does not answer.
        """
        if not self._sqlite:
            with self.autocommit() as db:
                read_only: str = db.execute(text("SELECT current_setting('transaction_read_only')")).scalar_one()
            return read_only == "off"
        try:
            with self.transaction():
                return True
        except DatabaseReadOnly:
            return False

    @cached_property
    def name(self) -> str:
        """The random name that cursors carry; it never changes for one database."""
        with self.autocommit() as db:
            return db.execute(select(DatabaseNameRow.name)).scalar_one()

    def close(self) -> None:
        """Close all pooled connections."""
        self.engine.dispose()


def _drop_connections(engine: ref[Engine]) -> None:
    """Drop the pooled connections in a forked child, because two processes must not share a socket."""
    if opened := engine():
        opened.dispose(close=False)


@contextmanager
def named_errors() -> Iterator[None]:
    """Translate the driver's errors about outages, locks and schemas into those of ``shirase.errors``."""
    try:
        yield
    except PoolTimeout as exc:
        raise DatabaseUnavailable("the database does not answer") from exc
    except DBAPIError as exc:
        if isinstance(exc.orig, LockNotAvailable):
            raise RowsLocked("the database does not answer: another transaction has locked the rows") from exc
        if lacks_table_or_column(exc.orig):
            raise SchemaMismatch("the database lacks tables or columns of this release: run `shirase migrate`") from exc
        if _refuses_writes(exc.orig):
            raise DatabaseReadOnly("the database accepts no writes now") from exc
        if isinstance(exc, OperationalError | InterfaceError) or exc.connection_invalidated:
            raise DatabaseUnavailable("the database does not answer") from exc
        raise


@contextmanager
def join(connection: Connection, schema: str | None) -> Iterator[Connection]:
    """Use a host's transaction, without committing it or rolling it back.

    The connection keeps the host's search_path, so statements name the schema explicitly. A host's own translation,
    such as to one schema a tenant, is suspended.
    """
    previous = connection.get_execution_options().get("schema_translate_map")
    if not schema and not previous:
        yield connection
        return
    connection.execution_options(schema_translate_map={None: schema} if schema else {})
    try:
        yield connection
    finally:
        connection.execution_options(schema_translate_map=previous)


def parse_url(url: str, schema: str | None = None) -> DatabaseUrl:
    """Read an address.

    Raises:
        SettingsError: if the address cannot be used, or a schema is passed for SQLite, which has none.
    """
    address = read(url)
    if schema and address.url.get_backend_name() == "sqlite":
        raise SettingsError("DATABASE_SCHEMA", "is for PostgreSQL: SQLite has no schemas")
    return address


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")  # readers never wait for a writer
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def lacks_table_or_column(error: BaseException | None) -> bool:
    """Whether the statement's table or column does not exist."""
    if isinstance(error, sqlite3.OperationalError):
        return str(error).startswith(("no such table", "no such column")) or "has no column named" in str(error)
    codes = {getattr(error, name, None) for name in ("sqlstate", "pgcode")}  # of any driver that a host may use
    return not codes.isdisjoint((UndefinedTable.sqlstate, UndefinedColumn.sqlstate))


def _refuses_writes(error: BaseException | None) -> bool:
    """Whether the database answers, but refuses writes."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extension
    return isinstance(error, DiskFull | ReadOnlySqlTransaction) or code in (SQLITE_FULL, SQLITE_READONLY)
