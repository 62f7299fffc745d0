"""What an operator has set for the database, or for its role, does not change how the service works."""

import os
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest

from shirase.errors import DatabaseUnusable
from shirase.inbox import inbox, notifications
from shirase.proxy.publisher import Publisher
from shirase.run.doctor.findings import Failed
from shirase.run.doctor.parts import Parts
from shirase.store import log
from shirase.store.database import Database
from shirase.store.migrate import migrate
from shirase.store.sessions import SERVER_KEEPALIVES, not_in_force
from shirase.types import Draft
from tests.support.content import content
from tests.support.nowhere import NOWHERE
from tests.support.pgbouncer import pooled
from tests.support.postgres import Cluster

WRITERS, EACH = 8, 12
CHOSEN = [
    ("default_transaction_isolation", "'repeatable read'"),
    ("default_transaction_isolation", "'serializable'"),
    ("default_transaction_isolation", "'read uncommitted'"),
    ("lock_timeout", "'1ms'"),
    ("datestyle", "'German'"),
    ("timezone", "'Asia/Kathmandu'"),
    ("search_path", "'nowhere'"),
]


@pytest.fixture(params=["direct", "transaction"])
def spoilt(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[str]:
    """A database with other settings than the usual ones, directly and through a pooler."""
    name = postgres_url.rpartition("/")[2]
    with psycopg.connect(postgres_url, autocommit=True) as owner:
        for setting, value in request.param[1]:
            owner.execute(f"ALTER DATABASE {name} SET {setting} TO {value}")
    if request.param[0] == "direct":
        yield postgres_url
    else:
        with pooled(postgres_url, request.param[0]) as through:
            yield through


@pytest.mark.parametrize(
    "spoilt",
    [
        (how, settings)
        for how in ("direct", "transaction")
        for settings in ([item] for item in CHOSEN if how == "direct" or item[0].startswith("default"))
        if settings[0][0] != "search_path"
    ],
    indirect=True,
    ids=lambda param: f"{param[0]}-{param[1][0][0]}-{param[1][0][1]}",
)
def test_writers_to_one_user_never_fail(spoilt: str) -> None:
    publisher = Publisher(NOWHERE)
    with closing(Database(spoilt)) as database, ThreadPoolExecutor(WRITERS) as threads:

        def write(_: int) -> None:
            for _ in range(EACH):
                notifications.create(database, publisher, [Draft("all", content())], answer=lambda _: "")
                inbox.mark_read(database, publisher, "all", None)

        for done in [threads.submit(write, writer) for writer in range(WRITERS)]:
            done.result()
        with database.autocommit() as db:
            head = log.position(db, "all", datetime.now(UTC)).head
            assert log.read_events(db, "all", head, head, 1, datetime.now(UTC))[0].created_at.tzinfo
            assert not_in_force(db, database.sessions.settings) == []
        assert head >= WRITERS * EACH


def test_both_ends_of_a_session_notice_a_silent_network(postgres_url: str) -> None:
    with closing(Database(postgres_url, timeout=4)) as database, database.autocommit() as db:
        line = db.connection.dbapi_connection
        assert isinstance(line, psycopg.Connection)
        with socket.socket(fileno=os.dup(line.fileno())) as ours:
            assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 2
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 4000
        shown = [db.exec_driver_sql(f"SHOW {name}").scalar() for name in SERVER_KEEPALIVES]
        assert shown == ["4", "4", "3"]


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_an_encoding_that_cannot_hold_every_text_is_refused(postgres: Cluster, encoding: str) -> None:
    name = f"test_{encoding.lower()}"
    with psycopg.connect(postgres.url("postgres"), autocommit=True) as owner:
        owner.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING '{encoding}' LOCALE 'C'")
    url = postgres.url(name)
    with pytest.raises(DatabaseUnusable, match=f"the database's encoding is {encoding}") as refused:
        migrate(url)
    assert "\n" not in str(refused.value)
    with closing(Parts(replace(NOWHERE, database_url=url))) as parts, pytest.raises(Failed, match=encoding):
        parts.database()
    postgres.drop(name)


def test_the_doctor_names_what_is_not_in_force(postgres_url: str) -> None:
    with closing(Parts(replace(NOWHERE, database_url=postgres_url))) as parts:
        parts.database()
        assert parts.session() == "timeouts and isolation level are in force"
        with parts._database.engine.connect() as kept:  # noqa: SLF001 - what a pooler does that drops them
            kept.exec_driver_sql("SET statement_timeout TO 0")
        with pytest.raises(Failed, match="not in force: statement_timeout is '0'"):
            parts.session()
