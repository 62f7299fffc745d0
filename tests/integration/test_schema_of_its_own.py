"""``DATABASE_SCHEMA``: the tables beside a host's, in their own schema."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.orm import Session

from shirase.errors import SettingsError
from shirase.inbox import connections, streams
from shirase.inbox.services import Services, wire
from shirase.relay import repair
from shirase.settings import Settings
from shirase.sqlalchemy import Notifier, broadcast, notify
from shirase.store import log
from shirase.store.database import Database, parse_url
from shirase.store.migrate import migrate
from shirase.store.tables import VERSION_TABLE, Base
from tests.support.control_port import ControlPort, control_port
from tests.support.postgres import Cluster

SCHEMA = "shirase_own"


@pytest.fixture
def control() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


@pytest.fixture
def services(postgres: Cluster, control: ControlPort) -> Iterator[Services]:
    """Connect to a host's database that has tables of the same names."""
    url = postgres.create("test_schema_of_its_own")
    engine = create_engine(parse_url(url).url)
    with engine.begin() as connection:
        for table in Base.metadata.tables:
            connection.execute(text(f"CREATE TABLE {table} (of_the_host text)"))
    engine.dispose()
    migrate(url, SCHEMA)
    settings = Settings(
        database_url=url,
        database_schema=SCHEMA,
        grip_url=(control.url,),
        pushpin_sig_key="k" * 32,
        jwt_secret="j" * 32,
    )
    wired = wire(settings)
    yield wired
    wired.database.close()
    postgres.drop("test_schema_of_its_own")


def test_all_tables_are_in_the_schema(services: Services) -> None:
    with services.database.engine.connect() as connection:
        assert set(inspect(connection).get_table_names(SCHEMA)) == {*Base.metadata.tables, "shirase_version"}
        assert (
            compare_metadata(
                MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}), Base.metadata
            )
            == []
        )
        host = inspect(connection).get_columns("shirase_events", "public")
        assert [column["name"] for column in host] == ["of_the_host"]


def test_migrating_again_changes_nothing(services: Services) -> None:
    migrate(services.settings.database_url, SCHEMA)
    with services.database.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM shirase_database_name")) == 1


def test_a_hosts_session_writes_into_the_schema(services: Services, control: ControlPort) -> None:
    engine = create_engine(parse_url(services.settings.database_url).url)
    notifier = Notifier(services.settings)
    with Session(engine) as session:
        notifier.attach(session)
        session.execute(text("INSERT INTO shirase_events VALUES ('the host itself')"))
        notify(session, user_id="42", type="t", title="one", message="")
        notify(session, user_id="42", type="t", title="two", message="")
        broadcast(session, user_ids=["42", "43"], type="t", title="all", message="")
        session.commit()
        assert session.scalar(text("SELECT count(*) FROM shirase_events")) == 1

    assert len(control.items) == 4
    connection = connections.new(services.settings, "42", None, "", "")
    answer = streams.open_stream(services.database, services.publisher, services.settings, connection, None)
    assert '"unread_count":3' in answer.body
    assert repair.repair(services.database, services.publisher).events == 0
    with services.database.autocommit() as reading:
        assert len(log.read_events(reading, "42", 1, 9, 9, datetime.now(UTC))) == 3
    notifier.close()
    engine.dispose()


def test_sqlite_has_no_schemas(services: Services) -> None:
    for refused in (
        lambda: migrate("sqlite:////x.db", SCHEMA),
        lambda: Database("sqlite:////x.db", schema=SCHEMA),
        lambda: wire(replace(services.settings, database_url="sqlite:////x.db")),
    ):
        with pytest.raises(SettingsError, match=r"^DATABASE_SCHEMA: "):
            refused()
