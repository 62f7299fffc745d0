"""``notify`` inside a host's own transaction: the notification exists if and only if the host's change does."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from shirase.settings import Settings
from shirase.sqlalchemy import Notifier, notify
from shirase.store.database import Database, parse_url
from shirase.store.tables import NotificationRow
from tests.integration.notify.host import Base, Interview, interviews, left_behind, schedule, stored
from tests.support.control_port import ControlPort


def test_a_commit_stores_and_publishes(
    sessions: sessionmaker[Session], database: Database, engine: Engine, control: ControlPort
) -> None:
    with sessions.begin() as session:
        schedule(session, "first")
        schedule(session, "second")
        assert control.items == []

    assert stored(database) == interviews(engine) == ["first", "second"]
    assert control.seqs == [1, 2]
    assert left_behind(database) == []


def test_what_notify_returns_is_what_is_stored(sessions: sessionmaker[Session], database: Database) -> None:
    ends = datetime.now(UTC) + timedelta(days=1)
    with sessions.begin() as session:
        made = notify(
            session, user_id="4 2", type="a.b", title="T", message="M", payload={"a": [1, "知"]}, expires_at=ends
        )
    assert made
    with Session(database.engine) as session:
        row: Any = session.get_one(NotificationRow, made.id)
    assert (row.user_id, row.type, row.title, row.message) == ("4 2", "a.b", "T", "M")
    assert (row.payload, row.expires_at, row.created_at) == (made.content.payload, ends, made.created_at)


def test_a_rollback_leaves_and_publishes_nothing(
    sessions: sessionmaker[Session], database: Database, engine: Engine, control: ControlPort
) -> None:
    with sessions() as session:
        schedule(session, "no")
        session.rollback()
        schedule(session, "yes")
        session.commit()
    with suppress(ZeroDivisionError), sessions.begin() as session:
        schedule(session, "neither")
        raise ZeroDivisionError
    with sessions() as session:
        schedule(session, "closed without a commit")

    assert stored(database) == interviews(engine) == ["yes"]
    assert control.seqs == [1]


def test_a_savepoints_rollback_undoes_only_its_own_part(
    sessions: sessionmaker[Session], database: Database, engine: Engine, control: ControlPort
) -> None:
    with sessions.begin() as session:
        session.add(Interview(title="zero"))
        session.flush()
        schedule(session, "before")
        with session.begin_nested():
            schedule(session, "kept")
        with suppress(ZeroDivisionError), session.begin_nested():
            schedule(session, "gone")
            raise ZeroDivisionError
        assert control.items == []  # a savepoint's release is not a commit
        schedule(session, "after")

    assert stored(database) == interviews(engine)[1:] == ["before", "kept", "after"]
    assert control.seqs == [1, 2, 3]


def test_a_rollback_takes_released_savepoints_with_it(
    sessions: sessionmaker[Session], database: Database, control: ControlPort
) -> None:
    with sessions() as session:
        session.add(Interview(title="first"))
        session.flush()  # begins: for Python's sqlite3 a savepoint alone is a transaction, whose release commits
        with session.begin_nested():
            schedule(session, "released")
        session.rollback()
        session.commit()
    assert stored(database) == []
    assert control.items == []


def test_a_savepoint_that_commits_takes_both_or_neither(
    sessions: sessionmaker[Session], database: Database, engine: Engine
) -> None:
    """With Python's sqlite3 as SQLAlchemy sets it up, the release of a first savepoint is a commit."""
    with sessions() as session:
        with session.begin_nested():
            schedule(session, "released")
        session.rollback()
    assert stored(database) == interviews(engine)


def test_a_failed_change_of_the_host_undoes_the_notification(
    sessions: sessionmaker[Session], database: Database, control: ControlPort
) -> None:
    with sessions.begin() as session:
        schedule(session, "once")
    control.posts.clear()
    with pytest.raises(Exception, match=r"(?i)unique"), sessions.begin() as session:
        schedule(session, "once")  # detected by the commit's flush
    assert stored(database) == ["once"]
    assert control.items == []


def test_a_second_session_in_the_same_request_has_its_own_commit(
    sessions: sessionmaker[Session], database: Database, control: ControlPort
) -> None:
    with sessions() as first, sessions() as second:
        if first.get_bind().dialect.name == "postgresql":
            schedule(first, "of the first", "a")
        schedule(second, "of the second", "b")
        second.commit()
        assert stored(database, "a") == []
        assert stored(database, "b") == ["of the second"]
        assert len(control.items) == 1
        first.rollback()
    assert stored(database, "a") == []
    assert len(control.items) == 1


def test_a_joined_session_publishes_only_after_the_outer_commit(
    engine: Engine, notifier: Notifier, settings: Settings, database: Database, control: ControlPort
) -> None:
    """As in test suites: the session's commit only releases a savepoint."""
    with engine.connect() as connection:
        outer = connection.begin()
        connection.execute(text("DELETE FROM host_interviews"))
        session = Session(connection, join_transaction_mode="create_savepoint")
        notifier.attach(session)
        schedule(session, "joined")
        session.commit()
        session.close()
        assert control.items == []
        outer.commit()
    repair.repair(database, Publisher(settings))
    assert control.seqs == [1]


def test_a_commit_in_two_phases(postgres_url: str, settings: Settings, control: ControlPort) -> None:
    settings = replace(settings, database_url=postgres_url)
    engine, database, notifier = create_engine(parse_url(postgres_url).url), Database(postgres_url), Notifier(settings)
    Base.metadata.create_all(engine)
    with Session(engine, twophase=True) as session:
        notifier.attach(session)
        schedule(session, "in two phases")
        session.prepare()
        assert control.items == []
        session.commit()
    assert stored(database) == ["in two phases"]
    assert len(control.items) == 1
    for opened in (engine, database.engine):
        opened.dispose()
    notifier.close()
