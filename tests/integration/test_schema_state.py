"""A missing, older or newer schema is reported as such."""

import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from subprocess import PIPE, STDOUT, run

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from shirase.access.tokens import WRITE
from shirase.settings import Settings
from shirase.store import schema
from shirase.store.database import Database
from tests.support.control_port import control_port

NEW = {"user_id": "42", "type": "a.b", "title": "T", "message": "M"}
LATER = "9999"


@pytest.fixture
def settings(settings: Settings) -> Iterator[Settings]:
    with control_port() as running:
        yield replace(settings, grip_url=(running.url,))


def set_revision(settings: Settings, revision: str) -> None:
    with closing(Database(settings.database_url)) as database, database.transaction() as db:
        db.execute(text("UPDATE shirase_version SET version_num = :revision"), {"revision": revision})


def drop_tables(settings: Settings) -> None:
    with closing(Database(settings.database_url)) as database, database.transaction() as db:
        for table in ("version", "streams", "events", "notifications", "database_name"):
            db.execute(text(f"DROP TABLE shirase_{table}"))


def migrate(settings: Settings, *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "shirase", "migrate", *options]
    environ = {"DATABASE_URL": settings.database_url, "PYTHONPATH": ":".join(sys.path)}
    ended = run(command, env=environ, stdout=PIPE, stderr=STDOUT, text=True, check=False, timeout=60)
    return ended.returncode, ended.stdout


def test_readyz_reports_missing_tables(client: FlaskClient, settings: Settings) -> None:
    drop_tables(settings)
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["unavailable"]) == (503, ["schema"])  # type: ignore[index]
    assert "no tables" in answer.json["detail"]  # type: ignore[index]


def test_a_request_without_tables_is_a_503(client: FlaskClient, settings: Settings, token: Callable[..., str]) -> None:
    drop_tables(settings)
    headers = {"Authorization": f"Bearer {token('42', WRITE)}"}
    for answer in (
        client.post("/api/notifications", json=NEW, headers=headers),
        client.get("/api/notifications", headers=headers),
    ):
        assert answer.status_code == 503
        assert "shirase migrate" in answer.json["detail"]  # type: ignore[index]


def test_readyz_reports_an_older_schema(client: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    known = schema.read_known()
    monkeypatch.setattr(schema, "read_known", lambda: (LATER, *known))
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json["unavailable"]) == (503, ["schema"])  # type: ignore[index]
    assert f"and {LATER} is needed" in answer.json["detail"]  # type: ignore[index]


def test_handlers_stay_ready_on_the_schema_of_a_later_release(client: FlaskClient, settings: Settings) -> None:
    set_revision(settings, LATER)
    assert client.get("/readyz").status_code == 200


def test_migrate_check_fails_if_a_migration_is_due(settings: Settings) -> None:
    drop_tables(settings)
    assert migrate(settings, "--check") == (1, "the database has no tables yet\n")
    assert migrate(settings, "--check")[0] == 1


def test_migrate_check_passes_on_the_newest_schema(settings: Settings) -> None:
    assert migrate(settings, "--check")[0] == 0


@pytest.mark.parametrize("options", [(), ("--check",)], ids=["migrate", "check"])
def test_migrate_leaves_a_newer_schema_as_it_is(settings: Settings, options: tuple[str, ...]) -> None:
    set_revision(settings, LATER)
    code, output = migrate(settings, *options)
    assert code == 0
    assert "newer than this release" in output
    assert "Traceback" not in output
