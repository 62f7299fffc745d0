"""The settings of our PostgreSQL sessions, directly or through a pooler such as PgBouncer.

Nothing is sent as a startup option, because poolers refuse or drop those. A direct session is set up once, after the
connect. Through a pooler each transaction may run in another server session, which others use afterwards: every
transaction carries its own settings, and no statement is prepared on the server.
"""

import time
from collections.abc import Mapping
from select import POLLIN, poll
from typing import Any

import psycopg
from psycopg import _queries
from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction
from sqlalchemy import Connection, Engine, ExceptionContext, event, text
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from shirase.database_url import DatabaseUrl
from shirase.errors import DatabaseUnavailable

# The driver parses a longer statement at each execution; the append has some 7,000 characters.
_queries.MAX_CACHED_STATEMENT_LENGTH = 16 * 1024
LONGEST_REST = 10.0  # seconds of idleness after which a pooled connection is checked
RESTS_SINCE = "rests_since"
BEHIND_POOLER = "behind_pooler"
READ_ONLY = "read_only"
# The server ends a session whose client it cannot reach. Else each cut of the network would leave some open, for hours,
# and `max_connections` would be reached. Without effect on a socket of the same machine.
SERVER_KEEPALIVES = ("tcp_keepalives_idle", "tcp_keepalives_interval", "tcp_keepalives_count")
POOLS_STATEMENTS = "statement pooling mode"  # in PgBouncer's error for a BEGIN that it refuses
NEEDS_TRANSACTIONS = "the pooler in front of the database does not allow transactions: set its pool_mode to transaction"


class Sessions:
    """The settings of the sessions that one engine opens."""

    def __init__(self, address: DatabaseUrl, timeout: float, schema: str | None) -> None:
        """Prepare for sessions whose connections, locks and statements may take ``timeout`` seconds."""
        self._address = address
        self._timeout = timeout
        self.settings = session_settings(timeout, schema)
        seconds = str(max(1, int(timeout)))
        self._keepalives = dict(zip(SERVER_KEEPALIVES, (seconds, seconds, "3"), strict=True))
        local = "; ".join(f"SET LOCAL {name} TO '{value}'" for name, value in self.settings.items())
        self.begin_through_pooler = f"BEGIN ISOLATION LEVEL READ COMMITTED; {local}"

    def connect_arguments(self) -> dict[str, Any]:
        """The driver's arguments beside the address; parameters of the address take precedence."""
        defaults = {
            "connect_timeout": max(2, int(self._timeout)),  # whole seconds; libpq takes 2 at least
            # A network that loses packets reports nothing: the kernel must ask, also while we wait for an answer.
            "tcp_user_timeout": int(self._timeout * 1000),
            "keepalives_idle": max(1, int(self._timeout / 2)),
            "keepalives_interval": 1,
            "keepalives_count": max(1, int(self._timeout / 2)),
        }
        chosen = {name: value for name, value in defaults.items() if name not in self._address.url.query}
        return {**chosen, "client_encoding": "utf8", "autocommit": True}

    def attend(self, engine: Engine) -> None:
        """Set up each session of the engine, and discard lost ones."""
        event.listen(engine, "connect", self._set_up)
        event.listen(engine, "handle_error", _recognise_lost_session)
        event.listen(engine, "checkin", _note_rest)
        event.listen(engine, "checkout", _refuse_lost_session)

    def _set_up(self, connection: psycopg.Connection[Any], record: ConnectionPoolEntry) -> None:
        # A pooler answers the handshake itself, with a process id that is not that of the server process.
        handshake_pid = connection.info.backend_pid
        settings = {**self.settings, **self._keepalives}
        names = ", ".join("set_config(%s, %s, false)" for _ in settings)
        direct = "CASE WHEN pg_backend_pid() = %s AND NOT %s THEN ARRAY[" + names + "] END"
        values = [part for setting in settings.items() for part in setting]
        row = connection.execute(f"SELECT {direct}", [handshake_pid, self._address.behind_pooler, *values]).fetchone()
        record.info[BEHIND_POOLER] = row is None or row[0] is None
        if record.info[BEHIND_POOLER]:
            connection.prepare_threshold = None
            _check_pooler(connection)
        record.info[READ_ONLY] = _reported_read_only(connection)


def session_settings(timeout: float, schema: str | None) -> Mapping[str, str]:
    """The settings of each of our sessions or transactions, which override those of server, database and role."""
    milliseconds = int(timeout * 1000)
    settings = {
        "default_transaction_isolation": "read committed",
        "statement_timeout": str(milliseconds),
        # Shorter than the statement timeout, so that a wait for a lock is reported as such.
        "lock_timeout": str(milliseconds * 9 // 10),
        # Our transactions wait for nothing but the database. An idle one belongs to a process whose machine has
        # vanished, and would keep its locks until TCP times out, two hours later.
        "idle_in_transaction_session_timeout": str(milliseconds),
        # Every statement has an index. The plan of a prepared statement outlives the size that it was made for: made
        # for a few rows, it would read a whole table for each user later.
        "enable_seqscan": "off",
        "jit": "off",  # a plan without an index costs more than any limit, and would be compiled
        "timezone": "UTC",
        "datestyle": "ISO, YMD",  # the only one that the driver parses
    }
    # On our own connections the search_path selects the schema, so statements do not name it.
    return settings | ({"search_path": schema} if schema else {})


def not_in_force(connection: Connection, settings: Mapping[str, str]) -> list[str]:
    """The settings whose value on this connection differs, each as a text with that value."""
    names = ", ".join(f"'{name}'" for name in settings)
    lowered = text(f"SELECT lower(name) AS name, setting FROM pg_settings WHERE lower(name) IN ({names})")  # noqa: S608 - ours
    values = {row.name: row.setting for row in connection.execute(lowered)}
    return [f"{name} is {values.get(name)!r}" for name, value in settings.items() if values.get(name) != value]


def is_behind_pooler(connection: Connection) -> bool:
    """Whether a pooler stands between this connection and the server."""
    return bool(connection.info.get(BEHIND_POOLER))


def _check_pooler(connection: psycopg.Connection[Any]) -> None:
    try:
        connection.execute("BEGIN")
        connection.execute("COMMIT")
    except psycopg.OperationalError as exc:
        if POOLS_STATEMENTS not in str(exc):
            raise
        raise DatabaseUnavailable(NEEDS_TRANSACTIONS) from None


def _recognise_lost_session(context: ExceptionContext) -> None:
    """Have SQLAlchemy renew its pool after errors that it does not recognise as a lost connection.

    PostgreSQL ended an idle session, or the server became read-only: after a failover, new connections reach the new
    primary.
    """
    if isinstance(context.original_exception, IdleInTransactionSessionTimeout | ReadOnlySqlTransaction):
        context.is_disconnect = True


def _note_rest(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[RESTS_SINCE] = time.monotonic()


def _refuse_lost_session(connection: psycopg.Connection[Any], record: ConnectionPoolEntry, _proxy: object) -> None:
    """Discard a pooled connection that was lost, without a round trip for every transaction.

    A server that ends a session sends an error and closes, so the idle socket becomes readable. A machine or network
    that vanishes sends nothing; so a connection that was idle for ``LONGEST_REST`` is checked by a query.
    """
    now = time.monotonic()
    try:
        readable = poll()
        readable.register(connection, POLLIN)
        if readable.poll(0) or now - record.info.get(RESTS_SINCE, now) > LONGEST_REST:
            connection.execute("SELECT 1")
            connection.rollback()
    except psycopg.Error as exc:
        raise DisconnectionError from exc
    if _reported_read_only(connection) and not record.info.get(READ_ONLY):
        raise InvalidatePoolError


def _reported_read_only(connection: psycopg.Connection[Any]) -> bool:
    """Whether the server is read-only, as PostgreSQL 14 and later report without a query; poolers do not forward it."""
    status = connection.info.parameter_status
    return "on" in (status("in_hot_standby"), status("default_transaction_read_only"))
