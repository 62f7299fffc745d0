"""A host whose sessions use several engines: its tables are in one database, and ours in another."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, make_url
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

from shirase.errors import SchemaMismatch
from shirase.settings import Settings
from shirase.sqlalchemy import Notifier, announce, notify, retract
from shirase.sqlalchemy.other_database import other_database
from shirase.store.database import Database
from shirase.store.migrate import migrate
from shirase.testing import recording
from tests.integration.notify.host import Base, Interview, schedule, stored
from tests.support.control_port import ControlPort


class ElsewhereBase(DeclarativeBase):
    """The host's tables in its other database."""


class Audit(ElsewhereBase):
    """A row of the other database."""

    __tablename__ = "host_audit"

    id: Mapped[int] = mapped_column(primary_key=True)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Engine]:
    made = create_engine(f"sqlite:///{tmp_path / 'elsewhere.db'}")
    ElsewhereBase.metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
def both(engine: Engine, elsewhere: Engine) -> sessionmaker[Session]:
    return sessionmaker(binds={Base: engine, ElsewhereBase: elsewhere})


def test_the_named_engine_has_both_or_neither(
    both: sessionmaker[Session], engine: Engine, notifier: Notifier, database: Database, control: ControlPort
) -> None:
    notifier.attach(both, bind=engine)
    with both.begin() as session:
        session.add(Audit())
        schedule(session, "kept")
    with both() as session:
        session.add(Audit())
        schedule(session, "rolled back")
        session.rollback()
    assert stored(database) == ["kept"]
    assert control.seqs == [1]


def test_a_routing_session_writes_to_the_named_engine(
    engine: Engine, elsewhere: Engine, notifier: Notifier, database: Database
) -> None:
    class Routing(Session):
        def get_bind(self, *_: Any, **__: Any) -> Engine:
            return engine if self._flushing else elsewhere

    routing = sessionmaker(class_=Routing)
    notifier.attach(routing, bind=engine)
    with routing.begin() as session:
        notify(session, user_id="42", type="t", title="routed", message="")
        retract(session, user_id="42", key="none")
        announce(session, type="t", title="to everyone", message="")
    assert stored(database) == ["routed"]


def test_several_engines_and_none_named_is_an_error(both: sessionmaker[Session], notifier: Notifier) -> None:
    notifier.attach(both)
    with both() as session, pytest.raises(LookupError, match="bind=engine"):
        notify(session, user_id="42", type="t", title="t", message="")


def test_a_database_without_the_tables_is_named(elsewhere: Engine, notifier: Notifier) -> None:
    sessions = sessionmaker(elsewhere)
    notifier.attach(sessions)
    with sessions() as session, pytest.raises(SchemaMismatch, match=r"elsewhere\.db.*shirase migrate"):
        notify(session, user_id="42", type="t", title="t", message="")


def test_only_sessions_and_their_factories_are_attached(engine: Engine, notifier: Notifier) -> None:
    for other in (engine, Session, create_async_engine("sqlite+aiosqlite://")):
        with pytest.raises(TypeError, match="sessionmaker"):
            notifier.attach(other)  # type: ignore[arg-type]


def test_the_recorder_reads_the_named_engine(
    both: sessionmaker[Session], engine: Engine, notifier: Notifier, database: Database
) -> None:
    notifier.attach(both, bind=engine)
    with recording() as notifications, both.begin() as session:
        session.add(Audit())
        schedule(session, "recorded")
        session.commit()
        notifications.assert_sent(42, title="recorded")
    assert stored(database) == []


def test_a_session_in_a_tests_own_transaction_stays_there(
    engine: Engine, notifier: Notifier, database: Database
) -> None:
    """It is bound to a connection of the named engine."""
    with engine.connect() as connection:
        around = connection.begin()
        session = Session(connection, join_transaction_mode="rollback_only")
        notifier.attach(session, bind=engine)
        session.add(Interview(title="joined"))
        session.flush()
        notify(session, user_id="42", type="t", title="joined", message="")
        session.commit()
        session.close()
        around.rollback()
    assert stored(database) == []


def test_a_hosts_schema_translation_is_not_ours(
    sessions: sessionmaker[Session], settings: Settings, database: Database
) -> None:
    """A host with one schema a tenant."""
    tenant = {None: "tenant_a"}
    with sessions() as session, recording() as notifications:
        session.connection(execution_options={"schema_translate_map": tenant})
        notify(session, user_id="42", type="t", title="of a tenant", message="")
        announce(session, type="t", title="to everyone", message="")
        assert session.connection().get_execution_options()["schema_translate_map"] == tenant
        session.commit()
        notifications.assert_sent(42, title="of a tenant")
    translated = sessionmaker(session.get_bind().execution_options(schema_translate_map=tenant))
    made = Notifier(settings)
    made.attach(translated)
    with translated.begin() as session:
        notify(session, user_id="42", type="t", title="translated", message="")
    made.close()
    assert stored(database) == ["translated"]


def test_a_session_of_another_database_is_warned_of(
    engine: Engine, notifier: Notifier, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"sqlite:///{tmp_path / 'instance.db'}"
    migrate(url)
    for bind, warnings in ((engine, 0), (create_engine(url), 1)):
        sessions = sessionmaker(bind)
        notifier.attach(sessions)
        for _ in range(2):  # once for each engine
            with sessions.begin() as session:
                notify(session, user_id="42", type="t", title="t", message="")
        warned = [record.message for record in caplog.records if "DATABASE_URL" in record.message]
        assert len(warned) == warnings
    assert "instance.db" in warned[0]


def test_databases_are_compared_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for theirs, ours, other in (
        ("sqlite:///a.db", f"sqlite:///{tmp_path}/a.db", None),
        ("sqlite:///instance/a.db", "sqlite:///a.db", str(tmp_path / "instance" / "a.db")),
        ("sqlite+aiosqlite:///./a.db", "sqlite:///a.db", None),
        ("sqlite:///file:a.db?uri=true", "sqlite:///a.db", None),  # not recognized
        ("postgresql+asyncpg://pooler:6432/app", "postgresql+psycopg://u@db/app", None),
        ("postgresql+psycopg2://db/app_test", "postgresql+psycopg://db/app", "app_test"),
        ("postgresql+psycopg://db", "postgresql+psycopg://db/app", None),
        ("sqlite:///a.db", "postgresql+psycopg://db/app", str(tmp_path / "a.db")),
    ):
        assert other_database(make_url(theirs), make_url(ours)) == other, theirs
