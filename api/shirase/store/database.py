"""The database: one engine, transactions that say whether they write, and the migrations."""

import logging
import os
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property, partial
from select import POLLIN, poll
from sqlite3 import SQLITE_FULL, SQLITE_READONLY
from typing import Any
from weakref import ref

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from psycopg.errors import (
    DiskFull,
    IdleInTransactionSessionTimeout,
    LockNotAvailable,
    ReadOnlySqlTransaction,
    UndefinedColumn,
    UndefinedTable,
)
from sqlalchemy import URL, Connection, Engine, ExceptionContext, NullPool, create_engine, event, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from shirase import resources
from shirase.errors import DatabaseReadOnly, DatabaseUnavailable, RowsLocked, SchemaMismatch, SettingsError
from shirase.store.tables import DatabaseNameRow

log = logging.getLogger(__name__)

POOL_SIZE = 8  # one connection a thread of a worker
LONGEST_REST = 10.0  # seconds that a connection is trusted unasked
RESTS_SINCE = "rests_since"


class Database:
    """Opens transactions. Safe to share between threads, and to make before a fork."""

    def __init__(self, url: str, timeout: float = 10.0, schema: str | None = None) -> None:
        """Prepare, without connecting.

        Args:
            url: as in ``DATABASE_URL``.
            timeout: seconds that a connection, a lock or a statement may take.
            schema: as in ``DATABASE_SCHEMA``.

        Raises:
            SettingsError: if the address is neither of SQLite nor of PostgreSQL, or SQLite is to have a schema.
        """
        parsed = parse_url(url, schema)
        self._sqlite = parsed.get_backend_name() == "sqlite"
        self.engine = create_engine(
            parsed,
            hide_parameters=True,  # its errors would quote the values of the statement
            pool_size=POOL_SIZE,
            max_overflow=POOL_SIZE,
            pool_timeout=timeout,
            isolation_level="AUTOCOMMIT",  # we say BEGIN ourselves, where it is needed
            connect_args=_sqlite_arguments(timeout) if self._sqlite else _postgresql_arguments(timeout, schema),
        )
        os.register_at_fork(after_in_child=partial(_leave_to_parent, ref(self.engine)))
        if self._sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
        else:
            event.listen(self.engine, "handle_error", _know_ended_session)
            event.listen(self.engine, "checkin", _note_rest)
            event.listen(self.engine, "checkout", _refuse_ended_session)

    @contextmanager
    def transaction(
        self, *, durable: bool = True, lock: int | None = None, single_statement: bool = False
    ) -> Iterator[Connection]:
        """A write transaction: committed at the end, rolled back if an exception leaves it.

        Args:
            durable: whether the commit waits for the disk. Without it a power cut may undo the commit, which suits
                what can be rebuilt, such as the registry of connections.
            lock: run alone among the transactions with the same number, a signed 64-bit integer.
            single_statement: each statement is complete by itself and sets what it needs by ``setting``. PostgreSQL
                then commits each one without the round trips of BEGIN and COMMIT. SQLite needs several statements for
                the same work, so it still runs one transaction.
        """
        if single_statement and not self._sqlite:
            with self._opened() as db:
                yield db
            return
        first = [] if durable else ["SET LOCAL synchronous_commit TO off"]
        first += [] if lock is None else [f"SELECT pg_advisory_xact_lock({lock:d})"]
        with self._begun(first, durable=durable) as db:
            yield db

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """A connection for reading: each statement sees what was committed before it, and no transaction is open."""
        with self._opened() as db:
            yield db

    @contextmanager
    def _opened(self) -> Iterator[Connection]:
        """A connection that commits each statement until it is told to begin."""
        with named_errors(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def _begun(self, first: Sequence[str], *, durable: bool) -> Iterator[Connection]:
        """A transaction that PostgreSQL begins with these statements; SQLite has one writer at a time anyway."""
        with self._opened() as db:
            if self._sqlite:
                # Said each time, for the connection is used for the one and for the other.
                db.exec_driver_sql(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
                # One that reads first and writes later can fail half-way; this one takes the lock at once.
                db.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                db.exec_driver_sql("; ".join(["BEGIN", *first]))  # one round trip
            yield db
            db.commit()

    @cached_property
    def name(self) -> str:
        """The random name that cursors carry; it never changes for one database."""
        with self.autocommit() as db:
            return db.execute(select(DatabaseNameRow.name)).scalar_one()

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def _leave_to_parent(engine: ref[Engine]) -> None:
    """Forget the pooled connections in a forked child: two processes that talk on one socket garble each other."""
    if found := engine():
        found.dispose(close=False)


@contextmanager
def named_errors() -> Iterator[None]:
    """The driver's errors, as far as they are an outage, as errors of ours."""
    try:
        yield
    except PoolTimeout as exc:
        raise DatabaseUnavailable("the database does not answer") from exc
    except DBAPIError as exc:
        if isinstance(exc.orig, LockNotAvailable):
            raise RowsLocked("the database does not answer: what is to be changed is locked") from exc
        if _is_of_another_schema(exc.orig):
            raise SchemaMismatch("the database has not the tables of this release: run `shirase migrate`") from exc
        if _takes_nothing(exc.orig):
            raise DatabaseReadOnly("the database takes nothing now") from exc
        if isinstance(exc, OperationalError | InterfaceError) or exc.connection_invalidated:
            raise DatabaseUnavailable("the database does not answer") from exc
        raise


@contextmanager
def join(connection: Connection, schema: str | None) -> Iterator[Connection]:
    """Someone else's transaction, which is neither committed nor rolled back here.

    The connection's search_path is its owner's, so statements name the schema themselves.
    """
    theirs = connection.get_execution_options().get("schema_translate_map")
    if schema:
        connection.execution_options(schema_translate_map={None: schema})
    try:
        yield connection
    finally:
        if schema:
            connection.execution_options(schema_translate_map=theirs)


def migrate(url: str, schema: str | None = None) -> None:
    """Bring the tables to the newest state; nothing happens if they are there already.

    Raises:
        DatabaseUnavailable: if the database does not answer.
        SettingsError: as by ``Database``.
    """
    parsed = parse_url(url, schema)
    _make_private(parsed)
    engine = create_engine(parsed, poolclass=NullPool, connect_args={"options": _search_path(schema)} if schema else {})
    try:
        with engine.connect() as connection:
            migrate_on(connection, schema)
    except (OperationalError, InterfaceError) as exc:
        reason = " ".join(str(exc.orig).split())  # libpq's goes over several lines
        raise DatabaseUnavailable(f"the database does not answer: {reason}") from exc
    finally:
        engine.dispose()


def _make_private(url: URL) -> None:
    """A new file of SQLite is for its owner alone: it holds what every inbox says."""
    path = url.database or ":memory:"
    if url.get_backend_name() == "sqlite" and not path.startswith((":", "file:")):
        with suppress(OSError):  # it exists, or SQLite tells what is wrong
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def migrate_on(connection: Connection, schema: str | None) -> None:
    """The same on a connection that is there already, whose search_path leads to the schema, if there is to be one."""
    alembic = configuration()
    alembic.attributes.update(connection=connection, schema=schema)
    try:
        command.upgrade(alembic, "head")
    except CommandError as exc:
        if not isinstance(exc.__cause__, ResolutionError):
            raise
        # A later release has migrated it. This one works on that schema, and knows no way back from it.
        log.warning("the schema is newer than this release, and is left as it is")


def configuration() -> Config:
    """Where Alembic finds the migrations."""
    alembic = Config()
    alembic.set_main_option("script_location", str(resources.directory("migrations")).replace("%", "%%"))
    return alembic


def parse_url(url: str, schema: str | None = None) -> URL:
    """Read an address; ``postgresql://`` means psycopg 3 here.

    Raises:
        SettingsError: if it is neither of SQLite nor of PostgreSQL, or of SQLite, which has no schemas, with one.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise SettingsError("DATABASE_URL", "cannot be read as an address") from exc
    if parsed.drivername == "postgres" or parsed.get_backend_name() == "postgresql":  # whichever driver a host names
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
        if schema:
            raise SettingsError("DATABASE_SCHEMA", "is for PostgreSQL: SQLite has no schemas")
        return parsed.set(drivername="sqlite")
    raise SettingsError("DATABASE_URL", "must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")


def _sqlite_arguments(timeout: float) -> dict[str, Any]:
    return {"timeout": timeout}


def _postgresql_arguments(timeout: float, schema: str | None) -> dict[str, Any]:
    milliseconds = int(timeout * 1000)
    return {
        "connect_timeout": max(2, int(timeout)),  # whole seconds; libpq takes 2 at least
        "tcp_user_timeout": milliseconds,
        "options": " ".join(
            f"-c {name}={value}"
            for name, value in {
                "statement_timeout": milliseconds,
                # A wait for a lock ends first, or it would be reported as a slow statement and not as what it is.
                "lock_timeout": milliseconds * 9 // 10,
                # No transaction of ours waits for anything else than the database. One that does belongs to a process
                # whose machine vanished, and would hold its locks until TCP gives up, two hours later.
                "idle_in_transaction_session_timeout": milliseconds,
                "timezone": "UTC",
            }.items()
        )
        + f" {_search_path(schema)}",
    }


def _search_path(schema: str | None) -> str:
    """Leads every statement on our own connections to the schema, so that no table has to name it."""
    return f"-c search_path={schema}" if schema else ""


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")  # readers never wait for a writer
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _know_ended_session(context: ExceptionContext) -> None:
    """A session that PostgreSQL ended for its silence is a lost connection, which SQLAlchemy does not see in it."""
    if isinstance(context.original_exception, IdleInTransactionSessionTimeout):
        context.is_disconnect = True


def _note_rest(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[RESTS_SINCE] = time.monotonic()


def _refuse_ended_session(connection: Any, record: ConnectionPoolEntry, _proxy: object) -> None:
    """The database may have been restarted meanwhile. To ask it each time would cost every transaction a round trip.

    A server that ends a session says so, and closes: then there is something to read where nothing was asked. Only a
    machine or a network that vanished says nothing; so what has rested for long is asked all the same.
    """
    now = time.monotonic()
    try:
        said = poll()
        said.register(connection, POLLIN)
        if said.poll(0) or now - record.info.get(RESTS_SINCE, now) > LONGEST_REST:
            connection.execute("SELECT 1")
            connection.rollback()
    except psycopg.Error as exc:
        raise DisconnectionError from exc


def _is_of_another_schema(error: BaseException | None) -> bool:
    """Whether the statement's table or column does not exist."""
    if isinstance(error, sqlite3.OperationalError):
        return str(error).startswith(("no such table", "no such column")) or "has no column named" in str(error)
    return isinstance(error, UndefinedTable | UndefinedColumn)


def _takes_nothing(error: BaseException | None) -> bool:
    """Whether the database answers, and refuses only what changes it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without the extension
    return isinstance(error, DiskFull | ReadOnlySqlTransaction) or code in (SQLITE_FULL, SQLITE_READONLY)
