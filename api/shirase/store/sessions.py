"""What a PostgreSQL session of ours is set to, directly or through a pooler such as PgBouncer.

Nothing is sent as a startup option, which poolers refuse or drop. A direct session is set once, after it connected.
Through a pooler each transaction may run in another server session, which belongs to others afterwards: there every
transaction sets what it needs for itself, and no statement is prepared on the server.
"""

import time
from collections.abc import Mapping
from select import POLLIN, poll
from typing import Any

import psycopg
from psycopg.errors import IdleInTransactionSessionTimeout, ReadOnlySqlTransaction
from sqlalchemy import Connection, Engine, ExceptionContext, event, text
from sqlalchemy.exc import DisconnectionError, InvalidatePoolError
from sqlalchemy.pool import ConnectionPoolEntry

from shirase.database_url import DatabaseUrl
from shirase.errors import DatabaseUnavailable

LONGEST_REST = 10.0  # seconds that a connection is trusted unasked
RESTS_SINCE = "rests_since"
BEHIND_POOLER = "behind_pooler"
READ_ONLY = "read_only"
POOLS_STATEMENTS = "statement pooling mode"  # PgBouncer's words for what it refuses a BEGIN in
NEEDS_TRANSACTIONS = "the pooler in front of the database allows no transactions: set its pool_mode to transaction"


class Sessions:
    """The settings of the sessions that one engine opens."""

    def __init__(self, address: DatabaseUrl, timeout: float, schema: str | None) -> None:
        """Prepare for sessions whose connections, locks and statements may take ``timeout`` seconds."""
        self._address = address
        self._timeout = timeout
        self.settings = session_settings(timeout, schema)
        local = "; ".join(f"SET LOCAL {name} TO '{value}'" for name, value in self.settings.items())
        self.begin_through_pooler = f"BEGIN ISOLATION LEVEL READ COMMITTED; {local}"

    def connect_arguments(self) -> dict[str, Any]:
        """What the driver is given beside the address, whose own parameters come first."""
        ours = {
            "connect_timeout": max(2, int(self._timeout)),  # whole seconds; libpq takes 2 at least
            "tcp_user_timeout": int(self._timeout * 1000),
        }
        chosen = {name: value for name, value in ours.items() if name not in self._address.url.query}
        return {**chosen, "client_encoding": "utf8", "autocommit": True}

    def attend(self, engine: Engine) -> None:
        """Set up each session of the engine, and sort out those that are no good any more."""
        event.listen(engine, "connect", self._set_up)
        event.listen(engine, "handle_error", _know_lost_session)
        event.listen(engine, "checkin", _note_rest)
        event.listen(engine, "checkout", _refuse_lost_session)

    def _set_up(self, connection: psycopg.Connection[Any], record: ConnectionPoolEntry) -> None:
        # A pooler answers the handshake itself: the process that it names is not the one that runs the statements.
        named = connection.info.backend_pid
        names = ", ".join("set_config(%s, %s, false)" for _ in self.settings)
        direct = "CASE WHEN pg_backend_pid() = %s AND NOT %s THEN ARRAY[" + names + "] END"
        values = [part for setting in self.settings.items() for part in setting]
        row = connection.execute(f"SELECT {direct}", [named, self._address.behind_pooler, *values]).fetchone()
        record.info[BEHIND_POOLER] = row is None or row[0] is None
        if record.info[BEHIND_POOLER]:
            connection.prepare_threshold = None
            _check_pooler(connection)
        record.info[READ_ONLY] = _reported_read_only(connection)


def session_settings(timeout: float, schema: str | None) -> Mapping[str, str]:
    """What every session or transaction of ours has, whatever the server, the database or the role say."""
    milliseconds = int(timeout * 1000)
    settings = {
        "default_transaction_isolation": "read committed",
        "statement_timeout": str(milliseconds),
        # A wait for a lock ends first, or it would be reported as a slow statement and not as what it is.
        "lock_timeout": str(milliseconds * 9 // 10),
        # No transaction of ours waits for anything else than the database. One that does belongs to a process whose
        # machine vanished, and would hold its locks until TCP gives up, two hours later.
        "idle_in_transaction_session_timeout": str(milliseconds),
        "timezone": "UTC",
        "datestyle": "ISO, YMD",  # the only one that the driver reads
    }
    # Leads every statement on our own connections to the schema, so that no table has to name it.
    return settings | ({"search_path": schema} if schema else {})


def not_in_force(connection: Connection, settings: Mapping[str, str]) -> list[str]:
    """The settings that have another value here, each with it."""
    names = ", ".join(f"'{name}'" for name in settings)
    lowered = text(f"SELECT lower(name) AS name, setting FROM pg_settings WHERE lower(name) IN ({names})")  # noqa: S608 - ours
    found = {row.name: row.setting for row in connection.execute(lowered)}
    return [f"{name} is {found.get(name)!r}" for name, value in settings.items() if found.get(name) != value]


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


def _know_lost_session(context: ExceptionContext) -> None:
    """Sessions that SQLAlchemy takes for good and that are not: its whole pool is then renewed.

    PostgreSQL ended one for its silence, or the server became read-only: after a failover new connections reach
    another, which is not.
    """
    if isinstance(context.original_exception, IdleInTransactionSessionTimeout | ReadOnlySqlTransaction):
        context.is_disconnect = True


def _note_rest(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[RESTS_SINCE] = time.monotonic()


def _refuse_lost_session(connection: psycopg.Connection[Any], record: ConnectionPoolEntry, _proxy: object) -> None:
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
    if _reported_read_only(connection) and not record.info.get(READ_ONLY):
        raise InvalidatePoolError


def _reported_read_only(connection: psycopg.Connection[Any]) -> bool:
    """What PostgreSQL 14 and later report by themselves when it changes; a pooler does not pass it on."""
    status = connection.info.parameter_status
    return "on" in (status("in_hot_standby"), status("default_transaction_read_only"))
