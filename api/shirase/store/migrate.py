"""Migrations: all pending ones run in one transaction, on PostgreSQL and on SQLite."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from sqlite3 import SQLITE_BUSY, SQLITE_CANTOPEN, SQLITE_LOCKED
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.script.revision import ResolutionError
from alembic.util import CommandError
from sqlalchemy import URL, Connection, NullPool, create_engine, event, text
from sqlalchemy.exc import DBAPIError, OperationalError

from shirase import resources
from shirase.database_url import DatabaseUrl
from shirase.errors import DatabaseUnavailable, DatabaseUnusable, MigrationFailed
from shirase.store.database import parse_url
from shirase.store.sessions import NEEDS_TRANSACTIONS, POOLS_STATEMENTS

log = logging.getLogger(__name__)

ENCODING = "UTF8"


def migrate(url: str, schema: str | None = None) -> None:
    """Migrate the tables to the newest revision; does nothing if they are there already.

    Raises:
        DatabaseUnavailable: if the database does not answer.
        DatabaseUnusable: if the database's encoding or its pooler is unsuitable.
        MigrationFailed: if a migration fails; then nothing has changed.
        SettingsError: as by ``Database``.
    """
    address = parse_url(url, schema)
    with _transaction(address) as connection:
        schema = schema or address.schema
        if schema:
            connection.exec_driver_sql(f"SET LOCAL search_path TO {schema}")
        migrate_on(connection, schema)


def migrate_on(connection: Connection, schema: str | None) -> None:
    """Migrate in an open transaction whose search_path already selects the schema, if any."""
    if connection.dialect.name == "postgresql":
        check_encoding(connection)
    alembic = configuration()
    alembic.attributes.update(connection=connection, schema=schema)
    try:
        command.upgrade(alembic, "head")
    except CommandError as exc:
        if not isinstance(exc.__cause__, ResolutionError):
            raise MigrationFailed(f"the migration failed, and nothing was changed: {exc}") from exc
        # A later release has migrated the database. This one works on its schema, and cannot downgrade it.
        log.warning("the schema is newer than this release, and is left as it is")


def check_encoding(connection: Connection) -> None:
    """Refuse a database that cannot hold every text.

    Raises:
        DatabaseUnusable: naming its encoding.
    """
    encoding = connection.execute(text("SELECT current_setting('server_encoding')")).scalar_one()
    if encoding != ENCODING:
        raise DatabaseUnusable(
            f"the database's encoding is {encoding}, which cannot hold every text:"
            " create one with ENCODING 'UTF8' TEMPLATE template0"
        )


def configuration() -> Config:
    """Alembic's configuration, with the folder of the migrations."""
    alembic = Config()
    alembic.set_main_option("script_location", str(resources.directory("migrations")).replace("%", "%%"))
    return alembic


@contextmanager
def _transaction(address: DatabaseUrl) -> Iterator[Connection]:
    """A transaction on its own connection. Its errors distinguish an outage of the database from a failed migration."""
    if address.url.get_backend_name() == "sqlite":
        _make_private(address.url)
        engine = create_engine(address.url, poolclass=NullPool)
        event.listen(engine, "connect", _disable_implicit_begin)
        event.listen(engine, "begin", _begin_immediate)
    else:
        arguments = {"client_encoding": "utf8", "prepare_threshold": None}
        engine = create_engine(
            address.url,
            poolclass=NullPool,
            isolation_level="READ COMMITTED",
            connect_args=arguments,
            use_native_hstore=False,
        )
    try:
        with engine.begin() as connection:
            yield connection
    except DBAPIError as exc:
        reason = " ".join(str(exc.orig).split())  # libpq's message has several lines
        if POOLS_STATEMENTS in reason:
            raise DatabaseUnusable(NEEDS_TRANSACTIONS) from exc
        if exc.statement is None or exc.connection_invalidated or _cannot_be_opened(exc):
            raise DatabaseUnavailable(f"the database does not answer: {reason}") from exc
        raise MigrationFailed(f"the migration failed, and nothing was changed: {reason}") from exc
    finally:
        engine.dispose()


def _make_private(url: URL) -> None:
    """Create a new SQLite file readable by its owner alone, because it contains every inbox."""
    path = url.database or ":memory:"
    if not path.startswith((":", "file:")):
        with suppress(OSError):  # it exists, or SQLite will report the error
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def _disable_implicit_begin(connection: Any, _record: object) -> None:
    """Disable sqlite3's implicit BEGIN: it precedes INSERT but not CREATE, which would be committed at once."""
    connection.isolation_level = None


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _cannot_be_opened(error: DBAPIError) -> bool:
    code = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # without the extension
    return isinstance(error, OperationalError) and code in (SQLITE_BUSY, SQLITE_LOCKED, SQLITE_CANTOPEN)
