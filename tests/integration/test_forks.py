"""``notify`` before and after a fork, in a thread and at interpreter exit: committed means published, nothing hangs."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from shirase.settings import Settings
from shirase.store.database import Database
from tests.support.control_port import ControlPort, control_port

HEAD = """
import asyncio, os, sys, threading
from sqlalchemy import create_engine, event
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import sessionmaker
from shirase import Notifier, Settings, notify
from shirase.fastapi import notify as notify_async
from shirase.store.database import parse_url

URL = parse_url(os.environ["DATABASE_URL"]).url
NOTIFIER = Notifier(Settings.from_env(os.environ, tokens=False))
SESSIONS = sessionmaker(create_engine(URL, pool_size=1))
NOTIFIER.attach(SESSIONS)


def one(title):
    with SESSIONS.begin() as session:
        notify(session, user_id="42", type="t", title=title, message="")
"""
FORK = """
one("before")
children = []
for number in range(4):
    pid = os.fork()
    if pid == 0:
        SESSIONS.kw["bind"].dispose(close=False)  # the application's own engine is its own to care for
        for again in range(5):
            one(f"child {number} {again}")
        os._exit(0)
    children.append(pid)
for again in range(5):
    one(f"parent {again}")
assert [os.waitpid(pid, 0)[1] for pid in children] == [0] * 4
"""
THREADS = """
threads = [threading.Thread(target=one, args=(f"thread {number}",)) for number in range(5)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
EXIT = """
async def run():
    sessions = async_sessionmaker(create_async_engine(URL.set(drivername="postgresql+asyncpg")))
    NOTIFIER.attach(sessions)
    async with sessions.begin() as session:
        await notify_async(session, user_id="42", type="t", title="last", message="")

asyncio.run(run())
"""


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """SQLite has no connections that two processes could garble."""
    return postgres_url


@pytest.fixture
def control() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


@pytest.mark.parametrize(("script", "count"), [(FORK, 26), (THREADS, 5), (EXIT, 1)], ids=["fork", "threads", "exit"])
def test_what_is_committed_is_published(
    settings: Settings, database: Database, control: ControlPort, script: str, count: int
) -> None:
    run(settings, control, script)
    assert len(control.items) == count
    assert waiting(database) == 0


def test_exit_does_not_wait_for_a_control_port_that_hangs(
    settings: Settings, database: Database, control: ControlPort
) -> None:
    control.behaviour = "hang"
    run(settings, control, EXIT)
    assert waiting(database) == 1


def run(settings: Settings, control: ControlPort, script: str) -> None:
    environ = {"DATABASE_URL": settings.database_url, "GRIP_URL": control.url, "PUBLISH_TIMEOUT": "1"}
    environ["PUSHPIN_SIG_KEY"] = settings.pushpin_sig_key
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", HEAD + script]
    ended = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr


def waiting(database: Database) -> int:
    with database.autocommit() as db:
        return int(db.scalar(text("SELECT count(*) FROM shirase_events WHERE published_at IS NULL")) or 0)
