"""Flask-Migrate on the database that holds our tables: neither touches the other's, whichever comes first."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import create_engine, inspect

from shirase.store.database import Database, parse_url
from shirase.store.migrate import migrate
from shirase.store.tables import VERSION_TABLE, Base
from tests.support.postgres import Cluster

OURS = {*Base.metadata.tables, VERSION_TABLE}
THEIRS = {"events", "notifications", "streams", "alembic_version"}
BOUND = 60  # seconds
HOST = """
from flask import Flask
from flask_migrate import Migrate
from flask_sqlalchemy import SQLAlchemy

from shirase.alembic import include_name

app = Flask(__name__)
app.config["SQLALCHEMY_DATABASE_URI"] = {url!r}
db = SQLAlchemy(app)
Migrate(app, db, include_name=include_name)


class Event(db.Model):
    __tablename__ = "events"
    id = db.Column(db.Integer, primary_key=True)


class Notification(db.Model):
    __tablename__ = "notifications"
    id = db.Column(db.Integer, primary_key=True)


class Stream(db.Model):
    __tablename__ = "streams"
    id = db.Column(db.Integer, primary_key=True)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/shared.db"
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    yield cluster.create("test_flask_migrate")
    cluster.drop("test_flask_migrate")


def flask_db(url: str, directory: Path, *arguments: str) -> None:
    address = parse_url(url).url.render_as_string(hide_password=False)
    (directory / "host.py").write_text(HOST.format(url=address))
    command = [sys.executable, "-m", "flask", "--app", "host", "db", *arguments]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=BOUND, check=False)
    assert done.returncode == 0, done.stderr


def begin(url: str, directory: Path) -> None:
    for arguments in (["init"], ["migrate", "-m", "first"], ["upgrade"]):
        flask_db(url, directory, *arguments)


def tables(url: str) -> set[str]:
    engine = create_engine(parse_url(url).url)
    with closing(engine.raw_connection()):
        result = set(inspect(engine).get_table_names())
    engine.dispose()
    return result


@pytest.mark.parametrize("first", ["ours", "theirs"])
def test_the_hosts_migrations_and_ours_leave_each_other_alone(url: str, first: str, tmp_path: Path) -> None:
    for step in ("ours", "theirs") if first == "ours" else ("theirs", "ours"):
        if step == "ours":
            migrate(url)
        else:
            begin(url, tmp_path)
    assert tables(url) == OURS | THEIRS
    flask_db(url, tmp_path, "migrate", "-m", "second")
    revisions = (tmp_path / "migrations/versions").glob("*.py")
    assert not [path.name for path in revisions if "shirase" in path.read_text()]
    flask_db(url, tmp_path, "upgrade")
    migrate(url)
    flask_db(url, tmp_path, "downgrade", "base")
    assert tables(url) == OURS | {"alembic_version"}
    with closing(Database(url)) as database:
        assert database.name
