"""``notify``: failures beside the host's transaction, arguments, and the sessions that it works in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from shirase.errors import Invalid
from shirase.fields import AddressedInput
from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from shirase.settings import Settings
from shirase.sqlalchemy import Notifier, broadcast, notify, notify_many, retract
from shirase.store.database import Database, parse_url
from shirase.store.tables import NotificationRow
from tests.integration.notify.host import Interview, interviews, left_behind, schedule, stored
from tests.support.control_port import ControlPort

NOW = datetime(2026, 1, 1, tzinfo=UTC)


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
