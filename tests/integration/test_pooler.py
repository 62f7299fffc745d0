"""A pooler between us and PostgreSQL: everything works, and what is ours is in force for us alone."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import text

from shirase.errors import DatabaseUnavailable, DatabaseUnusable
from shirase.inbox import connections, inbox, notifications, streams
from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from shirase.run.doctor.findings import Failed
from shirase.run.doctor.parts import Parts
from shirase.store import log
from shirase.store.database import Database
from shirase.store.migrate import migrate
from shirase.store.sessions import NEEDS_TRANSACTIONS, is_behind_pooler
from shirase.types import Draft
from tests.conftest import MakeDatabase
from tests.support.content import content
from tests.support.control_port import control_port
from tests.support.nowhere import NOWHERE
from tests.support.pgbouncer import pooled
from tests.support.postgres import Cluster

MODES = [("transaction", ""), ("transaction", "options,extra_float_digits"), ("session", "")]
SCHEMA = "shirase_own"
WRITERS, EACH = 8, 25
SETTINGS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "timezone")


@pytest.fixture(params=MODES, ids=["transaction", "transaction-ignoring-options", "session"])
def url(request: pytest.FixtureRequest, make_database: MakeDatabase) -> Iterator[str]:
    with make_database("postgresql") as direct, pooled(direct, *request.param) as through:
        yield through


def test_writers_streams_and_the_relay_work_through_it(url: str) -> None:
    with control_port() as port, closing(Database(url)) as database, ThreadPoolExecutor(WRITERS) as threads:
        settings = replace(NOWHERE, database_url=url, grip_url=(port.url,))
        publisher = Publisher(settings)

        def write(writer: int) -> None:
            for number in range(EACH):
                drafts = [Draft(user, content(title=f"{writer}.{number}")) for user in ("all", f"u{writer}")]
                notifications.create(database, publisher, drafts, answer=lambda _: "")
                inbox.mark_read(database, publisher, f"u{writer}", None)
                streams.open_stream(
                    database, publisher, settings, connections.new(settings, f"u{writer}", None, "", ""), None
                )

        for done in [threads.submit(write, writer) for writer in range(WRITERS)]:
            done.result()
        repair.repair(database, publisher)
        assert pending(database) == 0
        with database.autocommit() as db:
            assert is_behind_pooler(db)
            stored = log.read_events(db, "all", 1, 10**6, 10**6, datetime.now(UTC))
        assert [event.seq for event in stored] == list(range(1, WRITERS * EACH + 1))


def test_the_doctor_sees_what_is_in_force(url: str) -> None:
    with closing(Parts(replace(NOWHERE, database_url=url))) as parts:
        parts.database()
        assert parts.session() == "timeouts and isolation level are in force through a pooler"


def pending(database: Database) -> int:
    with database.autocommit() as db:
        return log.outbox(db)[0]


def test_our_settings_hold_for_us_and_for_nobody_else(url: str) -> None:
    with closing(Database(url, timeout=1.5)) as database:
        for opened in (database.autocommit, database.transaction):
            with opened() as db:
                shown = [db.execute(text(f"SHOW {name}")).scalar_one() for name in SETTINGS]
            assert shown == ["1500ms", "1350ms", "1500ms", "UTC"]
        with pytest.raises(DatabaseUnavailable), database.autocommit() as db:
            db.execute(text("SELECT pg_sleep(30)"))
        with psycopg.connect(url, autocommit=True) as others:
            shown = [str(others.execute(f"SHOW {name}").fetchone()) for name in SETTINGS[:3]]
    assert shown == ["('0',)"] * 3


def test_a_schema_of_its_own_works_through_it(postgres: Cluster) -> None:
    direct = postgres.create("test_pooled_schema")
    with pooled(direct, "transaction") as url:
        for _ in range(2):
            migrate(url, SCHEMA)
        with closing(Database(url, schema=SCHEMA)) as database:
            for _ in range(10):
                notifications.create(database, Publisher(NOWHERE), [Draft("a", content())], answer=lambda _: "")
            with database.autocommit() as db:
                tables = text("SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE 'shirase%'")
                assert db.execute(tables).scalars().all() == [SCHEMA]
                assert log.position(db, "a", datetime.now(UTC)).head == 10
    postgres.drop("test_pooled_schema")


def test_a_pooler_without_transactions_is_refused_in_a_line(postgres: Cluster) -> None:
    direct = postgres.create("test_pooled_statements", "shirase_template")
    with pooled(direct, "statement") as url:
        with pytest.raises(DatabaseUnusable, match=NEEDS_TRANSACTIONS):
            migrate(url)
        with (
            closing(Database(url)) as database,
            pytest.raises(DatabaseUnavailable, match=NEEDS_TRANSACTIONS),
            database.autocommit() as db,
        ):
            db.execute(text("SELECT 1"))
        with (
            closing(Parts(replace(NOWHERE, database_url=url))) as parts,
            pytest.raises(Failed, match=NEEDS_TRANSACTIONS),
        ):
            parts.database()
    postgres.drop("test_pooled_statements")


def test_a_url_may_declare_a_pooler(postgres_url: str) -> None:
    with closing(Database(f"{postgres_url}?pgbouncer=true")) as database, database.autocommit() as db:
        assert is_behind_pooler(db)
        assert db.execute(text("SHOW statement_timeout")).scalar_one() == "10s"


def test_a_direct_connection_is_known_as_one(postgres_url: str) -> None:
    with closing(Database(postgres_url)) as database, database.autocommit() as db:
        assert not is_behind_pooler(db)
        assert db.execute(text("SHOW statement_timeout")).scalar_one() == "10s"
