"""The database: one engine, transactions that say whether they write, and the migrations."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from alembic import command
from alembic.config import Config
from sqlalchemy import URL, Connection, create_engine, event, make_url, select
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session

from api import resources
from api.errors import DatabaseAway, SettingsError
from api.models import DatabaseName

POOL_SIZE = 8  # one connection a thread of a worker


class Database:
    """Opens transactions. Safe to share between threads; make it after a fork, not before."""

    def __init__(self, url: str, timeout: float = 10.0) -> None:
        """Prepare, without connecting.

        Args:
            url: as in ``DATABASE_URL``.
            timeout: seconds that a connection, a lock or a statement may take.

        Raises:
            SettingsError: if the address is neither of SQLite nor of PostgreSQL.
        """
        parsed = parse_url(url)
        self._sqlite = parsed.get_backend_name() == "sqlite"
        self.engine = create_engine(
            parsed,
            pool_size=POOL_SIZE,
            max_overflow=POOL_SIZE,
            pool_timeout=timeout,
            pool_pre_ping=not self._sqlite,  # the database may have been restarted meanwhile
            connect_args=_sqlite_arguments(timeout) if self._sqlite else _postgresql_arguments(timeout),
        )
        if self._sqlite:
            event.listen(self.engine, "connect", _prepare_sqlite)
            event.listen(self.engine, "begin", _begin_sqlite)

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A transaction that changes something: committed at the end, rolled back if an error leaves it."""
        # A SQLite transaction that reads first and writes later can fail half-way; this one takes the lock at once.
        with self._session(begin="IMMEDIATE") as session:
            yield session
            session.commit()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A transaction that only looks."""
        with self._session(begin="DEFERRED") as session:
            yield session

    @contextmanager
    def _session(self, begin: str) -> Iterator[Session]:
        try:
            with Session(self.engine, expire_on_commit=False, autoflush=False) as session:
                session.connection(execution_options={"sqlite_begin": begin} if self._sqlite else {})
                yield session
        except (OperationalError, InterfaceError, PoolTimeout) as exc:
            raise DatabaseAway("the database does not answer") from exc
        except DBAPIError as exc:
            if exc.connection_invalidated:
                raise DatabaseAway("the database does not answer") from exc
            raise

    @cached_property
    def name(self) -> str:
        """The random name that cursors carry; it never changes for one database."""
        with self.read() as session:
            return session.execute(select(DatabaseName.name)).scalar_one()

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()


def migrate(url: str) -> None:
    """Bring the schema to the newest state; nothing happens if it is there already.

    Raises:
        DatabaseAway: if the database does not answer.
    """
    configuration = Config()
    configuration.set_main_option("script_location", str(resources.directory("migrations")).replace("%", "%%"))
    configuration.attributes["url"] = parse_url(url)
    try:
        command.upgrade(configuration, "head")
    except (OperationalError, InterfaceError) as exc:
        reason = " ".join(str(exc.orig).split())  # libpq's goes over several lines
        raise DatabaseAway(f"the database does not answer: {reason}") from exc


def parse_url(url: str) -> URL:
    """Read an address; ``postgresql://`` means psycopg 3 here.

    Raises:
        SettingsError: if it is neither of SQLite nor of PostgreSQL.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as exc:
        raise SettingsError("DATABASE_URL", "cannot be read as an address") from exc
    if parsed.drivername in ("postgres", "postgresql", "postgresql+psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if parsed.drivername == "sqlite" and parsed.database not in (None, "", ":memory:"):
        return parsed
    raise SettingsError("DATABASE_URL", "must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME")


def _sqlite_arguments(timeout: float) -> dict[str, Any]:
    return {"timeout": timeout, "isolation_level": None}  # we say BEGIN ourselves


def _postgresql_arguments(timeout: float) -> dict[str, Any]:
    milliseconds = int(timeout * 1000)
    return {
        "connect_timeout": max(2, int(timeout)),  # whole seconds; libpq takes 2 at least
        "tcp_user_timeout": milliseconds,
        # A wait for a lock ends first, or it would be reported as a slow statement and not as what it is.
        "options": f"-c statement_timeout={milliseconds} -c lock_timeout={milliseconds * 9 // 10} -c timezone=UTC",
    }


def _prepare_sqlite(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")  # readers never wait for a writer
    cursor.execute("PRAGMA synchronous=FULL")  # committed means on the disk
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN " + connection.get_execution_options().get("sqlite_begin", "DEFERRED"))
