"""``await notify()`` on an ``AsyncSession``: in the host's transaction, without blocking the event loop."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session, async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session

from shirase.errors import Invalid, SchemaMismatch
from shirase.fastapi import Notifier, broadcast, notify, notify_many, retract
from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from shirase.settings import Settings
from shirase.sqlalchemy.notifier import NOTIFIER
from shirase.store import log
from shirase.store.database import Database, parse_url
from tests.support.control_port import ControlPort, control_port
from tests.support.loop_thread import run_async, wait_until

DRIVERS = ("sqlite+aiosqlite", "postgresql+asyncpg", "postgresql+psycopg")
Sessions = async_sessionmaker[AsyncSession]
FIELDS: dict[str, Any] = {"type": "t", "message": ""}
WAIT = 10.0


@pytest.fixture(params=DRIVERS)
def driver(request: pytest.FixtureRequest) -> str:
    result: str = request.param
    return result


@pytest.fixture
def database_url(driver: str, request: pytest.FixtureRequest) -> str:
    result: str = request.getfixturevalue("sqlite_url" if driver.startswith("sqlite") else "postgres_url")
    return result


@pytest.fixture
def control() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


@pytest.fixture
def settings(settings: Settings, control: ControlPort) -> Settings:
    return replace(settings, grip_url=(control.url,), publish_timeout=0.5)


@asynccontextmanager
async def host(settings: Settings, driver: str) -> AsyncIterator[Sessions]:
    """The host's own engine, without our settings."""
    engine = create_async_engine(parse_url(settings.database_url).url.set(drivername=driver))
    notifier = Notifier(settings)
    sessions = async_sessionmaker(engine)
    notifier.attach(sessions)
    try:
        yield sessions
    finally:
        notifier.close()
        await engine.dispose()


def run(settings: Settings, driver: str, test: Callable[[Sessions], Awaitable[None]]) -> None:
    async def within() -> None:
        async with host(settings, driver) as sessions:
            await test(sessions)

    run_async(within())


def stored(database: Database) -> list[str]:
    with database.autocommit() as db:
        return list(db.scalars(text("SELECT title FROM shirase_notifications ORDER BY id")))


def unpublished(database: Database) -> list[int]:
    with database.autocommit() as db:
        return [event.seq for event in log.unpublished(db, ("", 0), 100, datetime.now(UTC))]


def test_a_commit_stores_and_publishes(
    settings: Settings, driver: str, database: Database, control: ControlPort
) -> None:
    async def test(sessions: Sessions) -> None:
        async with sessions.begin() as session:
            made = await notify(session, user_id="42", title="first", payload={"a": "知"}, **FIELDS)
            await notify_many(session, [{"user_id": "42", "title": "second", **FIELDS}])  # type: ignore[typeddict-item]
            assert made
            assert (made.user_id, control.items) == ("42", [])
        async with sessions.begin() as session:
            await broadcast(session, user_ids=["42", "7"], title="all", **FIELDS)

    run(settings, driver, test)
    assert stored(database) == ["first", "second", "all", "all"]
    assert sorted(control.seqs) == [1, 1, 2, 3]
    assert unpublished(database) == []


def test_a_key_replaces_and_retracts(settings: Settings, driver: str, database: Database) -> None:
    async def test(sessions: Sessions) -> None:
        for title in ("first", "second"):
            async with sessions.begin() as session:
                await notify(session, user_id="42", title=title, key="k", **FIELDS)
                await notify(session, user_id="42", title="gone", key="gone", **FIELDS)
        async with sessions.begin() as session:
            await retract(session, user_id="42", key="gone")

    run(settings, driver, test)
    assert stored(database) == ["second"]


def test_a_rollback_leaves_and_publishes_nothing(
    settings: Settings, driver: str, database: Database, control: ControlPort
) -> None:
    async def test(sessions: Sessions) -> None:
        async with sessions() as session:
            await notify(session, user_id="42", title="no", **FIELDS)
            await session.rollback()
            await notify(session, user_id="42", title="before", **FIELDS)
            with suppress(ZeroDivisionError):
                async with session.begin_nested():
                    await notify(session, user_id="42", title="gone", **FIELDS)
                    raise ZeroDivisionError
            async with session.begin_nested():
                await notify(session, user_id="42", title="kept", **FIELDS)
            await session.commit()
        async with sessions() as session:
            await notify(session, user_id="42", title="closed without a commit", **FIELDS)

    run(settings, driver, test)
    assert stored(database) == ["before", "kept"]
    assert control.seqs == [1, 2]


def test_the_loop_goes_on_while_the_control_port_hangs(
    settings: Settings, driver: str, database: Database, control: ControlPort
) -> None:
    """While the publish hangs, the same loop commits and does other work."""
    control.behaviour = "hang"
    publishing = threading.Event()
    control.on_post = publishing.set
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            ticks.append(time.monotonic())
            await asyncio.sleep(0)

    async def test(sessions: Sessions) -> None:
        ticking = asyncio.create_task(tick())
        async with sessions.begin() as session:
            await notify(session, user_id="42", title="first", **FIELDS)
        await asyncio.to_thread(publishing.wait, WAIT)
        seen = len(ticks)
        async with sessions.begin() as session:  # the first is still being published
            await notify(session, user_id="42", title="second", **FIELDS)
        assert len(ticks) > seen
        assert unpublished(database) == [1, 2]
        ticking.cancel()

    run(settings, driver, test)
    assert stored(database) == ["first", "second"]
    control.behaviour = "accept"
    with control_port() as other:
        repair.repair(database, Publisher(replace(settings, grip_url=(other.url,))))
        assert other.seqs == [1, 2]


def test_publishes_are_in_order_and_whole_under_load(
    settings: Settings, driver: str, database: Database, control: ControlPort
) -> None:
    async def test(sessions: Sessions) -> None:
        async def notify_and_commit(number: int) -> None:
            async with sessions.begin() as session:
                await notify(session, user_id="42", title=str(number), **FIELDS)

        for _ in range(5):
            await asyncio.gather(*(notify_and_commit(number) for number in range(4)))

    run(settings, driver, test)
    wait_until(lambda: len(control.items) == 20, WAIT, lambda: str(control.items))
    assert sorted(control.seqs) == list(range(1, 21))
    assert unpublished(database) == []


def test_wrong_uses_are_named(settings: Settings, driver: str, database: Database) -> None:
    async def test(sessions: Sessions) -> None:
        async with sessions() as session:
            with pytest.raises(Invalid, match="title"):
                await notify(session, user_id="42", title="", **FIELDS)
        async with async_sessionmaker(session.bind)() as bare:
            with pytest.raises(LookupError, match="Notifier"):
                await notify(bare, user_id="42", title="t", **FIELDS)
        with pytest.raises(TypeError, match="AsyncSession"):
            await notify(Session(), user_id="42", title="t", **FIELDS)  # type: ignore[arg-type]
        scoped = async_scoped_session(sessions, scopefunc=asyncio.current_task)
        async with scoped.begin():
            await notify(scoped, user_id="42", title="scoped", **FIELDS)

    run(settings, driver, test)
    assert stored(database) == ["scoped"]


def test_the_named_engine_of_several_is_used(settings: Settings, driver: str, database: Database) -> None:
    async def test(sessions: Sessions) -> None:
        several: Sessions = async_sessionmaker()
        sessions.kw["info"][NOTIFIER].attach(several, bind=sessions.kw["bind"])
        async with several.begin() as session:
            await notify(session, user_id="42", title="several", **FIELDS)

    run(settings, driver, test)
    assert stored(database) == ["several"]


def test_missing_tables_are_one_error_with_every_driver(settings: Settings, driver: str) -> None:
    async def test(sessions: Sessions) -> None:
        async with sessions() as session:
            await session.execute(text("ALTER TABLE shirase_streams RENAME TO gone"))
            with pytest.raises(SchemaMismatch, match="shirase migrate"):
                await notify(session, user_id="42", title="t", **FIELDS)

    run(settings, driver, test)
