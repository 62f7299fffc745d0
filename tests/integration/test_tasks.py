"""``notify`` in Celery and RQ workers and in a management command: committed means published, or left to the relay."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from shirase.settings import Settings
from shirase.store.database import Database
from tests.integration.test_forks import HEAD, waiting
from tests.support.control_port import ControlPort, control_port
from tests.support.hosts import DJANGO_SITE, ROOT
from tests.support.loop_thread import wait_until
from tests.support.stack import free_ports

BOUND = 60.0  # seconds for a worker to do its work, and to end
TASKS = 4

TASKS_MODULE = (
    HEAD
    + """
def later(title):
    async def run():
        async with ASYNC_SESSIONS.begin() as session:
            await notify_async(session, user_id="42", type="t", title=title, message="")
        await ASYNC_SESSIONS.kw["bind"].dispose()  # its connections belong to this loop

    asyncio.run(run())


ASYNC_SESSIONS = async_sessionmaker(create_async_engine(URL.set(drivername="postgresql+asyncpg")))
NOTIFIER.attach(ASYNC_SESSIONS)
"""
)
CELERY_MODULE = """
from celery import Celery
from celery.signals import worker_init, worker_process_init
import jobs

app = Celery("work", broker="filesystem://")
app.conf.broker_transport_options = {name: jobs.os.environ["BROKER"] for name in ("data_folder_in", "data_folder_out")}
app.conf.broker_transport_options["control_folder"] = jobs.os.environ["BROKER"] + "/control"
app.conf.task_ignore_result = True
notify, notify_later = app.task(jobs.one, name="notify"), app.task(jobs.later, name="notify_later")


@worker_init.connect
def before_the_fork(**_):
    jobs.one("before the fork")


@worker_process_init.connect
def after_the_fork(**_):
    jobs.SESSIONS.kw["bind"].dispose(close=False)  # the application's own engine
"""

RQ_MODULE = """
import jobs
from redis import Redis
from rq import Queue, Worker

connection = Redis.from_url(jobs.os.environ["BROKER_URL"])
queue = Queue(connection=connection)
for number in range(int(jobs.os.environ["TASKS"])):
    queue.enqueue(jobs.one, f"job {number}")
    queue.enqueue(jobs.later, f"later {number}")
jobs.one("before the fork")
jobs.SESSIONS.kw["bind"].dispose()  # the application's own engine; each job is a fork
Worker([queue], connection=connection).work(burst=True)
"""


@pytest.fixture
def database_url(postgres_url: str) -> str:
    """SQLite has no connections that two processes could garble."""
    return postgres_url


@pytest.fixture
def control() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


@pytest.fixture
def environ(settings: Settings, control: ControlPort, tmp_path: Path) -> dict[str, str]:
    (tmp_path / "jobs.py").write_text(TASKS_MODULE)
    (tmp_path / "work.py").write_text(CELERY_MODULE)
    (tmp_path / "broker" / "control").mkdir(parents=True)
    return {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "PYTHONPATH": str(tmp_path),
        "PYTHONWARNINGS": "ignore::DeprecationWarning",
        "BROKER": str(tmp_path / "broker"),
        "DATABASE_URL": settings.database_url,
        "GRIP_URL": control.url,
        "PUSHPIN_SIG_KEY": settings.pushpin_sig_key,
        "PUBLISH_TIMEOUT": "1",
    }


def test_celery_tasks_publish_what_they_commit(
    environ: dict[str, str], database: Database, control: ControlPort, tmp_path: Path
) -> None:
    script = f"import work; [task.delay(str(n)) for n in range({TASKS}) for task in (work.notify, work.notify_later)]"
    run([sys.executable, "-c", script], environ, tmp_path)
    with celery_worker(environ, tmp_path):
        wait_until(lambda: len(control.items) >= 1 + 2 * TASKS, BOUND, (tmp_path / "worker.log").read_text)
        wait_until(lambda: waiting(database) == 0, BOUND, "the rows are not marked as published")
    assert len(control.items) == 1 + 2 * TASKS


def test_celery_ends_while_a_control_port_hangs(
    environ: dict[str, str], settings: Settings, database: Database, control: ControlPort, tmp_path: Path
) -> None:
    control.behaviour = "hang"
    run([sys.executable, "-c", "import work; work.notify.delay('a'); work.notify_later.delay('b')"], environ, tmp_path)
    with celery_worker(environ, tmp_path):
        wait_until(lambda: waiting(database) == 3, BOUND, (tmp_path / "worker.log").read_text)
    assert len(repaired(settings, database)) == 3


def test_rq_jobs_publish_or_leave_it_to_the_relay(
    environ: dict[str, str], settings: Settings, database: Database, control: ControlPort, tmp_path: Path
) -> None:
    """A work horse ends by ``os._exit``, so what is published beside an event loop may be left."""
    with redis(tmp_path) as url:
        run([sys.executable, "-c", RQ_MODULE], environ | {"BROKER_URL": url, "TASKS": str(TASKS)}, tmp_path)
    assert len(control.items) >= 1 + TASKS
    published = {item["id"] for item in control.items} | set(repaired(settings, database))
    assert len(published) == 1 + 2 * TASKS


def test_a_management_command_publishes_what_it_commits(
    environ: dict[str, str], database: Database, control: ControlPort
) -> None:
    environ |= {"PYTHONPATH": os.pathsep.join([str(ROOT / "api"), str(ROOT)])}
    script = "from shirase.django import notify; notify(user_id=42, type='t', title='By a command', message='')"
    run([sys.executable, "manage.py", "migrate", "-v0"], environ, DJANGO_SITE)
    run([sys.executable, "manage.py", "shell", "-c", script], environ, DJANGO_SITE)
    assert (len(control.items), waiting(database)) == (1, 0)


def repaired(settings: Settings, database: Database) -> list[str]:
    """Have the relay publish what was left, and return the ids of its events."""
    with control_port() as other:
        repair.repair(database, Publisher(replace(settings, grip_url=(other.url,))))
        assert waiting(database) == 0
        return [item["id"] for item in other.items]


def run(command: list[str], environ: dict[str, str], directory: Path) -> None:
    ended = subprocess.run(
        command, env=environ, cwd=directory, capture_output=True, text=True, timeout=BOUND, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr


@contextmanager
def celery_worker(environ: dict[str, str], directory: Path) -> Iterator[None]:
    """A worker with two processes; it must end when it is asked to."""
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat", "--loglevel", "warning"]
    command = [sys.executable, "-m", "celery", "-A", "work", "worker", "--concurrency", "2", *quiet]
    with (directory / "worker.log").open("wb") as log:
        worker = subprocess.Popen(
            command, env=environ, cwd=directory, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        yield
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(BOUND) == 0, (directory / "worker.log").read_text()
    finally:
        with suppress(ProcessLookupError):
            os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(BOUND)


@contextmanager
def redis(directory: Path) -> Iterator[str]:
    port = free_ports(1)[0]
    options = ["--bind", "127.0.0.1", "--port", str(port), "--save", "", "--dir", str(directory)]
    with (directory / "redis.log").open("wb") as log:
        server = subprocess.Popen(["/usr/bin/redis-server", *options], stdout=log, stderr=subprocess.STDOUT)
    try:
        ready = "Ready to accept connections"
        wait_until(lambda: ready in (directory / "redis.log").read_text(), BOUND, "redis does not start")
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait(BOUND)
