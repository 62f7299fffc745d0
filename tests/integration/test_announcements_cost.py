"""What announcements cost who has nothing new, and what a database that takes no writes answers."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import event

from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import topics
from shirase.store.database import Database
from tests.support.announcing import Announce, announcer, know, opened, titles


@pytest.fixture
def publisher(settings: Settings) -> Publisher:
    return Publisher(settings)


@pytest.fixture
def announce(database: Database) -> Announce:
    return announcer(database)


@pytest.fixture
def statements(database: Database) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    yield seen
    event.remove(database.engine, "before_cursor_execute", note)


def test_a_connect_with_nothing_new_asks_nothing_more(
    database: Database, publisher: Publisher, settings: Settings, announce: Announce, statements: list[str]
) -> None:
    announce("A")
    opened(database, publisher, settings, "42")
    opened(database, publisher, settings, "42")
    statements.clear()
    opened(database, publisher, settings, "42")
    begin = 2 if database.engine.dialect.name == "sqlite" else 0  # a PRAGMA each time
    assert len(statements) == begin + 2, statements  # the row, and after its commit the log


def test_a_list_with_nothing_new_takes_no_lock(
    database: Database, publisher: Publisher, announce: Announce, statements: list[str]
) -> None:
    announce("A")
    titles(database, publisher, "42")
    statements.clear()
    titles(database, publisher, "42")
    assert len(statements) == 3  # where the log stands, the page, and where the log stands then
    assert not [statement for statement in statements if not statement.lstrip().startswith("SELECT")]


def test_a_read_only_database_answers_what_was_there(
    database: Database, publisher: Publisher, announce: Announce
) -> None:
    know(database, "42")
    announce("A")
    assert titles(database, publisher, "42") == ["A"]
    announce("B")
    setting = "PRAGMA query_only = {}" if database.engine.dialect.name == "sqlite" else None
    with database.engine.connect() as db:
        if setting is None:
            name = database.engine.url.database
            db.exec_driver_sql(f'ALTER DATABASE "{name}" SET default_transaction_read_only TO on')
    read_only = Database(database.engine.url.render_as_string(hide_password=False))
    if setting:
        event.listen(read_only.engine, "connect", lambda connection, _: connection.execute(setting.format("on")))
    assert titles(read_only, publisher, "42") == ["A"]
    assert titles(read_only, publisher, "unknown") == []
    read_only.close()


def test_the_topics_of_a_token_have_one_digest() -> None:
    assert topics.digest({"a", "b"}) == topics.digest(["b", "a"]) != topics.digest({"a"})
    assert (topics.digest(None), topics.digest(set())) == (None, "")


def test_a_list_waits_for_no_other_writer(sqlite_url: str, settings: Settings) -> None:
    database, writer = Database(sqlite_url, timeout=30.0), Database(sqlite_url)
    publisher = Publisher(settings)
    know(database, "42")
    announcer(database)("A")
    with writer.transaction():
        assert titles(database, publisher, "42") == []  # what was there
        assert titles(database, publisher, "unknown") == []
    assert titles(database, publisher, "42") == ["A"]
    with writer.transaction():
        assert titles(database, publisher, "42") == ["A"]
    for item in (database, writer):
        item.close()
