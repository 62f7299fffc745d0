"""``notify`` inside a host's own transaction: the notification exists if and only if the host's change does."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, String, create_engine, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, scoped_session, sessionmaker

from shirase.errors import Invalid
from shirase.fields import AddressedInput
from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from shirase.settings import Settings
from shirase.sqlalchemy import Notifier, broadcast, notify, notify_many, retract
from shirase.store import log
from shirase.store.database import Database, parse_url
from shirase.store.tables import NotificationRow
from shirase.types import Event
from tests.support.control_port import ControlPort, control_port

NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Base(DeclarativeBase):
    """The host's own tables."""


class Interview(Base):
    """A row of the host."""

    __tablename__ = "host_interviews"

    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str] = mapped_column(String(50), unique=True)


@pytest.fixture
def control() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


@pytest.fixture
def settings(settings: Settings, control: ControlPort) -> Settings:
    return replace(settings, grip_url=(control.url,), publish_timeout=0.5)


@pytest.fixture
def engine(settings: Settings) -> Iterator[Engine]:
    """The host's own engine, without our settings."""
    made = create_engine(parse_url(settings.database_url).url)
    Base.metadata.create_all(made)
    yield made
    made.dispose()


@pytest.fixture
def notifier(settings: Settings) -> Iterator[Notifier]:
    made = Notifier(settings)
    yield made
    made.close()


@pytest.fixture
def sessions(engine: Engine, notifier: Notifier) -> sessionmaker[Session]:
    made = sessionmaker(engine)
    notifier.attach(made)
    return made


def schedule(session: Session | scoped_session[Session], title: str, user: str = "42") -> None:
    """Make a change of the host, with its notification."""
    session.add(Interview(title=title))
    notify(session, user_id=user, type="interview.scheduled", title=title, message="")


def stored(database: Database, user: str = "42") -> list[str]:
    with database.autocommit() as session:
        expected = (
            select(NotificationRow.__table__.c.title)
            .where(NotificationRow.user_id == user)
            .order_by(NotificationRow.id)
        )
        return list(session.scalars(expected))


def interviews(engine: Engine) -> list[str]:
    with Session(engine) as session:
        return list(session.scalars(select(Interview.title).order_by(Interview.id)))


def left_behind(database: Database) -> list[Event]:
    with database.autocommit() as session:
        return log.unpublished(session, ("", 0), 100, datetime.now(UTC))


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


@pytest.mark.parametrize("behaviour", ["fail", "hang"])
def test_a_publish_that_fails_is_left_to_the_relay(
    sessions: sessionmaker[Session], settings: Settings, database: Database, control: ControlPort, behaviour: str
) -> None:
    control.behaviour = behaviour
    with sessions.begin() as session:
        schedule(session, "late")
    assert [event.seq for event in left_behind(database)] == [1]

    control.behaviour = "accept"
    repair.repair(database, Publisher(settings))
    assert control.seqs == [1]


def test_a_commit_stands_although_our_own_connection_fails(
    engine: Engine, settings: Settings, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    unreachable = (
        "postgresql://nobody@127.0.0.1:1/none" if engine.dialect.name == "postgresql" else "sqlite:////nowhere/x.db"
    )
    notifier = Notifier(replace(settings, database_url=unreachable))
    with Session(engine) as session:
        notifier.attach(session)
        schedule(session, "committed")
        session.commit()
    assert stored(database) == ["committed"]
    assert [event.seq for event in left_behind(database)] == [1]
    assert "left to the relay" in caplog.text
    notifier.close()


def test_wrong_fields_are_named_and_nothing_is_written(
    sessions: sessionmaker[Session], database: Database, engine: Engine
) -> None:
    good: dict[str, Any] = {"type": "t", "title": "t", "message": ""}
    with sessions.begin() as session:
        session.add(Interview(title="stays"))
        for wrong, field in (
            ({"user_id": ""}, "user_id"),
            ({"user_id": 4.2}, "user_id"),
            ({"user_id": True}, "user_id"),
            ({"user_id": "u", "type": "a b"}, "type"),
            ({"user_id": "u", "expires_at": datetime(2026, 1, 1)}, "expires_at"),  # noqa: DTZ001 - the subject of the test
            ({"user_id": "u", "expires_at": NOW}, "expires_at"),
            ({"user_id": "u", "payload": {"a": [{"b": object()}]}}, "payload.a[0].b"),
            ({"user_id": "u", "title": 5}, "title"),
            ({"user_id": "u", "titel": "t"}, "titel"),
        ):
            with pytest.raises(Invalid) as caught:
                notify(session, **{**good, **wrong})
            assert [error.field for error in caught.value.errors] == [field]
        with pytest.raises(Invalid, match=r"notifications\[1\]\.title"):
            notify_many(
                session, [AddressedInput(user_id="u", type="t", title=title, message="") for title in ("t", "")]
            )
        with pytest.raises(Invalid, match="user_ids"):
            broadcast(session, user_ids=[], type="t", title="t", message="")
    with database.autocommit() as session:
        assert session.scalar(select(func.count()).select_from(NotificationRow)) == 0
    assert interviews(engine) == ["stays"]


def test_many_in_one_call(sessions: sessionmaker[Session], database: Database, control: ControlPort) -> None:
    with sessions.begin() as session:
        made = notify_many(
            session,
            [AddressedInput(user_id=user, type="t", title=title, message="") for user, title in ("b1", "a2", "b3")],
        )
        sent = broadcast(session, user_ids=["b", "a", "b"], type="t", title="all", message="")
    assert [notification and notification.content.title for notification in made] == ["1", "2", "3"]
    assert [notification and notification.user_id for notification in sent] == ["b", "a"]
    assert stored(database, "a") == ["2", "all"]
    assert stored(database, "b") == ["1", "3", "all"]
    assert {(item["channel"], seq) for item, seq in zip(control.items, control.seqs, strict=True)} == {
        (f"u-{name}", seq) for name, last in (("YQ", 2), ("Yg", 3)) for seq in range(1, last + 1)
    }


def test_a_scoped_session_will_do(engine: Engine, notifier: Notifier, database: Database) -> None:
    scoped = scoped_session(sessionmaker(engine, info={"of": "the host"}))
    notifier.attach(scoped)
    schedule(scoped, "scoped")
    assert scoped.info["of"] == "the host"
    scoped.commit()
    scoped.remove()
    assert stored(database) == ["scoped"]


def test_a_session_without_a_notifier_is_an_error(engine: Engine) -> None:
    body: dict[str, Any] = {"user_id": "u", "type": "t", "title": "t", "message": ""}
    with Session(engine) as session, pytest.raises(LookupError, match="attach"):
        notify(session, **body)
    with pytest.raises(TypeError, match="asyncio"):
        notify(AsyncSession(), **body)  # type: ignore[arg-type]


def test_without_a_transaction_there_is_no_notification(postgres_url: str, settings: Settings) -> None:
    engine = create_engine(parse_url(postgres_url).url, isolation_level="AUTOCOMMIT")
    notifier = Notifier(replace(settings, database_url=postgres_url))
    session = Session(engine)
    notifier.attach(session)
    with pytest.raises(ValueError, match="AUTOCOMMIT"):
        notify(session, user_id="u", type="t", title="t", message="")
    session.close()
    engine.dispose()
    notifier.close()


def test_a_long_session_keeps_nothing_of_published_events(
    sessions: sessionmaker[Session], database: Database, control: ControlPort
) -> None:
    with sessions() as session:
        for number in range(3):
            schedule(session, str(number))
            session.commit()
            assert len(control.items) == number + 1
    assert stored(database) == ["0", "1", "2"]


def test_notify_with_a_key_replaces_and_retract_takes_back(sessions: sessionmaker[Session], database: Database) -> None:
    body: Any = {"user_id": "42", "type": "a.b", "message": "", "key": "k"}
    with sessions.begin() as session:
        first = notify(session, title="1", **body)
    with sessions.begin() as session:
        second = notify(session, title="2", fold=True, **body)
    assert first
    assert second
    assert (second.id, second.revision, second.count) == (first.id, 2, 2)
    assert stored(database) == ["2"]
    with sessions() as session:  # rolled back
        retract(session, user_id="42", key="k")
    assert stored(database) == ["2"]
    with sessions.begin() as session:
        retract(session, user_id="42", key="k")
        retract(session, user_id="42", key="none")
    assert stored(database) == []


def test_notify_takes_no_send_at(sessions: sessionmaker[Session]) -> None:
    later: Any = {"send_at": datetime.now(UTC) + timedelta(days=1)}
    with sessions.begin() as session, pytest.raises(Invalid, match="send_at"):
        notify(session, user_id="42", type="a.b", title="T", message="", **later)
