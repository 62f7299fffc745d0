"""A release works on the schema of the next one, so a migration only adds (docs/upgrade.md)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect

from shirase.store.migrate import configuration
from shirase.store.schema import read_known
from tests.support.stack import free_ports

ROOT = Path(__file__).parents[2]
STEPS = list(zip(reversed(read_known()[1:]), reversed(read_known()[:-1]), strict=True))
# What the handlers of a release are asked on the schema of the next: a create, a list, a count, a stream.
REQUESTS = """
import time, jwt
from shirase.flask.app import create_app
from shirase.settings import Settings
settings = Settings.from_env({
    "DATABASE_URL": DATABASE_URL, "GRIP_URL": "http://127.0.0.1:PORT",
    "PUSHPIN_SIG_KEY": "k" * 32, "JWT_SECRET": "j" * 32
})
client = create_app(settings).test_client()
claims = {"sub": "aiko", "scope": "notifications:write", "exp": int(time.time()) + 60}
signed = jwt.encode({"iss": "pushpin", "exp": int(time.time()) + 60}, "k" * 32, algorithm="HS256")
headers = {"Authorization": "Bearer " + jwt.encode(claims, "j" * 32, algorithm="HS256"), "Grip-Sig": signed}
new = {"user_id": "aiko", "type": "a.b", "title": "T", "message": ""}
created = client.post("/api/notifications", json=new, headers=headers)
assert created.status_code == 201, created.text
listed = client.get("/api/notifications", headers=headers)
assert [one["title"] for one in listed.json["notifications"]] == ["T"], listed.text
assert client.post("/api/notifications/read-all", headers=headers).json["updated"] == 1
stream = client.get("/api/sse/notifications", headers=headers)
assert "event: connected" in stream.text, stream.text
"""


def migrate_to(url: str, revision: str) -> dict[str, dict[str, dict[str, object]]]:
    """Each table's columns after that migration."""
    engine = create_engine(url)
    try:
        with engine.connect() as connection:
            alembic = configuration()
            alembic.attributes.update(connection=connection, schema=None)
            command.upgrade(alembic, revision)
            result = inspect(connection)
            return {
                table: {str(column["name"]): dict(column) for column in result.get_columns(table)}
                for table in result.get_table_names()
            }
    finally:
        engine.dispose()


@pytest.mark.parametrize(("before", "after"), STEPS, ids=str)
def test_a_migration_takes_nothing_from_the_release_before(before: str, after: str, tmp_path: Path) -> None:
    script = ScriptDirectory.from_config(configuration()).get_revision(after)
    if getattr(script.module, "contracts", False):
        pytest.skip("it removes what no release since the last but one has used")
    url = f"sqlite:///{tmp_path}/x.db"
    old, new = migrate_to(url, before), migrate_to(url, after)
    assert set(old) <= set(new)
    for table, columns in old.items():
        assert set(columns) <= set(new[table]), f"{table} lost a column"
        for name in set(new[table]) - set(columns):
            column = new[table][name]
            assert column["nullable"] or column["default"] is not None, f"{table}.{name}: old inserts would fail"


@pytest.fixture
def former(tmp_path: Path) -> Path:
    """The code of the commit before the last migration."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("there is no history here")
    log = ["git", "log", "--format=%H", "--diff-filter=A", "-n1", "--", "migrations/versions"]
    commit = subprocess.run(log, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    archive, former = tmp_path / "former.tar", tmp_path / "former"
    command = ["git", "archive", f"--output={archive}", f"{commit}^", "api", "migrations"]
    if subprocess.run(command, cwd=ROOT, check=False).returncode:
        pytest.skip("the history does not reach back to the commit before the last migration")
    former.mkdir()
    subprocess.run(["tar", "--extract", "--file", archive, "--directory", former], check=True)
    return former


def test_the_former_release_works_on_the_newest_schema(former: Path, database_url: str) -> None:
    script = REQUESTS.replace("DATABASE_URL,", f"{database_url!r},").replace("PORT", str(free_ports(1)[0]))
    environ = {**os.environ, "PYTHONPATH": f"{former}/api", "PYTHONWARNINGS": "ignore"}
    ended = subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr[-3000:]
