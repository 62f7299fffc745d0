"""``shirase.testing`` in a host's own test suite, run as a process."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from shirase.store.database import Database

Suite = Callable[..., None]
PAGE = Path(__file__).parent.parent.parent / "docs" / "testing.md"

SQLALCHEMY = """
import asyncio, os
import pytest
from sqlalchemy import create_engine
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import Session, sessionmaker
from shirase import Notifier, Settings, announce, notify
from shirase.fastapi import notify as notify_async
from shirase.inbox import announcements as inbox
from shirase.proxy.publisher import Publisher
from shirase.store.database import Database, parse_url

URL = parse_url(os.environ["DATABASE_URL"]).url
SETTINGS = Settings.from_env(os.environ, tokens=False)
FIELDS = dict(type="interview.scheduled", message="")


@pytest.fixture
def sessions():
    engine = create_engine(URL)
    made = sessionmaker(engine)
    Notifier(SETTINGS).attach(made)
    yield made
    engine.dispose()


def test_commit(sessions, notifications):
    with sessions.begin() as session:
        notify(session, user_id="42", title="T", payload={"a": 1}, **FIELDS)
        notifications.assert_nothing_sent()
    notifications.assert_nothing_sent("7")
    sent = notifications.assert_sent(42, type="interview.scheduled", payload={"a": 1}, count=1)
    assert sent["title"] == "T"
    notifications.assert_sent(42, type="other", count=0)
    with pytest.raises(AssertionError, match="interview.scheduled 'T' to '42'"):
        notifications.assert_sent("42", type="other")
    with pytest.raises(TypeError, match="titel"):
        notifications.assert_sent("42", titel="T")
    notifications.clear()
    notifications.assert_nothing_sent()


def test_an_announcement(sessions, notifications):
    with sessions() as session:
        announce(session, title="no", **FIELDS)
        session.rollback()
        announce(session, topic="team:a", title="yes", **FIELDS)
        notifications.assert_nothing_sent()
        session.commit()
        announce(session, title="for newcomers", for_newcomers=True, **FIELDS)
        session.commit()
    assert notifications.assert_announced("team:a", title="yes")["type"] == "interview.scheduled"
    inbox.arrive(Database(os.environ["DATABASE_URL"]), Publisher(SETTINGS), "7", None)  # a page takes it over
    with pytest.raises(AssertionError, match="'yes' to the topic 'team:a'"):
        notifications.assert_announced("team:a", title="no")
    with pytest.raises(AssertionError, match="found 2"):
        notifications.assert_nothing_sent()
    notifications.clear()
    notifications.assert_nothing_sent()


def test_each_test_begins_with_none(sessions, notifications):
    with sessions.begin() as session:
        made = notify(session, user_id="42", title="again", **FIELDS)
    notifications.assert_sent("42", count=1)


def test_rollback(sessions, notifications):
    with sessions() as session:
        notify(session, user_id="42", title="no", **FIELDS)
        session.rollback()
        notify(session, user_id="42", title="yes", **FIELDS)
        try:
            with session.begin_nested():
                notify(session, user_id="42", title="gone", **FIELDS)
                raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        session.commit()
    assert [one["title"] for one in notifications.sent] == ["yes"]


def test_within_a_transaction_of_the_tests(notifications):
    engine = create_engine(URL)
    with engine.connect() as connection:
        around = connection.begin()
        session = Session(connection, join_transaction_mode=MODE)
        Notifier(SETTINGS).attach(session)
        notify(session, user_id="7", title="inside", **FIELDS)
        notifications.assert_nothing_sent()
        session.commit()
        notifications.assert_sent("7", title="inside")
        session.close()
        around.rollback()
    engine.dispose()


def test_async(notifications):
    async def run():
        engine = create_async_engine(URL.set(drivername=DRIVER))
        made = async_sessionmaker(engine)
        Notifier(SETTINGS).attach(made)
        async with made.begin() as session:
            await notify_async(session, user_id=7, title="async", **FIELDS)
            notifications.assert_nothing_sent()
        notifications.assert_sent(7, title="async")
        await engine.dispose()

    asyncio.run(run())
"""

DJANGO_URLS = """
from django.urls import include, path

urlpatterns = [path("inbox/", include("shirase.django.urls"))]
"""

DJANGO_SETTINGS = """
DATABASES = {"default": DATABASE}
GRIP_URL = "http://127.0.0.1:1?key=kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "shirase.django"]
MIDDLEWARE = ["django_grip.GripMiddleware", "django.contrib.auth.middleware.AuthenticationMiddleware"]
ROOT_URLCONF = "site_urls"
USE_TZ = True
SECRET_KEY = "x"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""

DJANGO = """
from django.db import transaction
from django.test import TestCase, TransactionTestCase
from shirase.django import announce, notify
from shirase.testing import recording

FIELDS = dict(type="interview.scheduled", message="")


class Both:
    def setUp(self):
        self.notifications = self.enterContext(recording())

    def test_a_block_that_was_left(self):
        with transaction.atomic():
            notify(user_id="42", title="T", **FIELDS)
            self.notifications.assert_nothing_sent()
        self.notifications.assert_sent(42, type="interview.scheduled", count=1)
        notify(user_id="42", title="by itself", **FIELDS)
        self.notifications.assert_sent(42, count=2)

    def test_an_announcement(self):
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            announce(title="no", **FIELDS)
            raise ZeroDivisionError
        with transaction.atomic():
            announce(title="yes", **FIELDS)
            self.notifications.assert_nothing_sent()
        self.notifications.assert_announced(title="yes")
        self.assertEqual([one["title"] for one in self.notifications.announced], ["yes"])

    def test_a_rollback(self):
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            notify(user_id="42", title="no", **FIELDS)
            raise ZeroDivisionError
        with transaction.atomic():
            notify(user_id="42", title="yes", **FIELDS)
            with self.assertRaises(ZeroDivisionError), transaction.atomic():
                notify(user_id="42", title="gone", **FIELDS)
                raise ZeroDivisionError
        self.assertEqual([one["title"] for one in self.notifications.sent], ["yes"])


class InATestCase(Both, TestCase):
    pass


class InATransactionTestCase(Both, TransactionTestCase):
    def tearDown(self):
        super().tearDown()
        self.addCleanup(self.nothing_is_left)

    def nothing_is_left(self):
        from django.db import connection
        self.doCleanups()
        with connection.cursor() as cursor:
            for table in ("notifications", "announcements"):
                cursor.execute(f"SELECT count(*) FROM shirase_{table}")
                assert cursor.fetchone() == (0,)


class WithoutTheRecorder(TransactionTestCase):
    def one_unread(self):
        from shirase.django.apps import shirase
        from shirase.inbox import inbox
        notify(user_id="42", title="T", **FIELDS)
        assert inbox.unread_count(shirase().database, "42") == 1

    test_first = one_unread
    test_second = one_unread
"""


APPLICATION = """
import os

import pytest
from flask import Flask, request
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker
from shirase import Notifier, Settings, notify

app = Flask(__name__)
sessions = sessionmaker(create_engine(os.environ["DATABASE_URL"]))
Notifier(Settings.from_env(os.environ, tokens=False)).attach(sessions)


@app.post("/interviews")
def schedule():
    with sessions.begin() as session:
        candidate = request.form["candidate"]
        notify(session, user_id=candidate, type="interview.scheduled", title=request.form["title"], message="")
    return ""


@pytest.fixture
def client():
    return app.test_client()
"""


@pytest.fixture
def suite(tmp_path: Path, database_url: str) -> Suite:
    def run(command: list[str], **files: str) -> None:
        for name, content in files.items():
            (tmp_path / f"{name}.py").write_text(content)
        environ = {
            **os.environ,
            "DATABASE_URL": database_url,
            "GRIP_URL": "http://127.0.0.1:1",  # nothing listens: a publish logs a failure
            "PUSHPIN_SIG_KEY": "k" * 32,
            "DJANGO_SETTINGS_MODULE": "site_settings",
            "PYTHONPATH": str(tmp_path),
        }
        ended = subprocess.run(
            [sys.executable, "-m", *command], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        if command[0] == "pytest":  # those of Django have a case that publishes
            assert "control port" not in ended.stdout + ended.stderr

    return run


def test_sqlalchemy_sessions(suite: Suite, database_url: str, database: Database) -> None:
    driver = "sqlite+aiosqlite" if database_url.startswith("sqlite") else "postgresql+asyncpg"
    # Savepoints of Python's sqlite3 commit, unless a host works around it.
    mode = "rollback_only" if database_url.startswith("sqlite") else "create_savepoint"
    names = f"\nDRIVER, MODE = {driver!r}, {mode!r}\n"
    suite(["pytest", "-q", "-p", "no:cacheprovider"], test_host=SQLALCHEMY + names)
    with database.autocommit() as db:
        for table in ("notifications", "events", "streams", "announcements"):
            assert db.scalar(text(f"SELECT count(*) FROM shirase_{table}")) == 0, table  # noqa: S608 - our own names


def test_the_page_is_enough_for_each_worker_of_xdist(suite: Suite) -> None:
    """The lines of docs/testing.md, with an application."""
    files = dict(re.findall(r"```python\n# (\w+)\.py\n(.*?)```", PAGE.read_text(), re.DOTALL))
    assert sorted(files) == ["conftest", "test_interviews"]
    files["conftest"] += "from application import client\n"
    suite(["pytest", "-q", "-p", "no:cacheprovider", "-n", "2"], application=APPLICATION, **files)


def test_a_log_that_was_there_stays_as_it_was(suite: Suite, database_url: str, database: Database) -> None:
    before = "SELECT user_id, head, unread, tag, previous_tag FROM shirase_streams"
    body = SQLALCHEMY.partition("def test_commit")[0] + f"\nDRIVER = {database_url!r}\n"
    made = body + "\ndef test_one(sessions):\n    with sessions.begin() as s:\n"
    made += (
        "        notify(s, user_id='42', title='1', **FIELDS)\n        notify(s, user_id='42', title='2', **FIELDS)\n"
    )
    subprocess_options = ["pytest", "-q", "-p", "no:cacheprovider"]
    suite(subprocess_options, test_host=made)
    with database.autocommit() as db:
        stood = db.execute(text(before)).all()
    suite(subprocess_options, test_host=made.replace("(sessions)", "(sessions, notifications)"))
    with database.autocommit() as db:
        assert db.execute(text(before)).all() == stood
        assert db.scalar(text("SELECT count(*) FROM shirase_notifications")) == 2


def test_django_test_cases(suite: Suite, database_url: str) -> None:
    parsed = make_url(database_url)
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}
    if parsed.get_backend_name() == "postgresql":
        database = {"ENGINE": "django.db.backends.postgresql", "HOST": str(parsed.host), "PORT": str(parsed.port)}
        database |= {"USER": str(parsed.username), "NAME": str(parsed.database)}
    suite(
        ["django", "test", "--noinput"],
        tests=DJANGO,
        site_urls=DJANGO_URLS,
        site_settings=f"DATABASE = {database!r}\n{DJANGO_SETTINGS}",
    )
