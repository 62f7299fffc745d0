"""A migration is all or nothing, and its errors name in one line what is wrong."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import create_engine, inspect, text

from shirase.errors import DatabaseUnavailable, MigrationFailed
from shirase.store.database import parse_url
from shirase.store.migrate import migrate
from shirase.store.tables import VERSION_TABLE, Base
from tests.support.postgres import Cluster

BOUND = 60  # seconds
IN_THE_WAY = "shirase_nodes"  # which the first migration creates last


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    cluster: Cluster = request.getfixturevalue("postgres")
    yield cluster.create("test_migrate")
    cluster.drop("test_migrate")


def run(url: str, statement: str) -> None:
    engine = create_engine(parse_url(url).url)
    with engine.begin() as connection:
        connection.execute(text(statement))
    engine.dispose()


def tables(url: str) -> set[str]:
    engine = create_engine(parse_url(url).url)
    result = set(inspect(engine).get_table_names())
    engine.dispose()
    return result


def test_a_table_in_the_way_is_named_and_nothing_is_left_behind(url: str) -> None:
    run(url, f"CREATE TABLE {IN_THE_WAY} (of_the_host INTEGER)")
    with pytest.raises(MigrationFailed, match=f"nothing was changed: .*{IN_THE_WAY}.* already exists") as failed:
        migrate(url)
    assert "\n" not in str(failed.value)
    assert tables(url) == {IN_THE_WAY}
    run(url, f"DROP TABLE {IN_THE_WAY}")
    migrate(url)
    assert tables(url) == {*Base.metadata.tables, VERSION_TABLE}


def test_a_hosts_tables_of_our_kind_are_not_in_the_way(url: str) -> None:
    for table in ("notifications", "events", "streams"):
        run(url, f"CREATE TABLE {table} (of_the_host INTEGER)")
    migrate(url)
    assert {"notifications", "events", "streams", *Base.metadata.tables} < tables(url)


def test_several_that_migrate_at_once_migrate_once(url: str) -> None:
    code = f"from shirase.store.migrate import migrate; migrate({url!r})"
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(BOUND) for process in running] == [0, 0, 0]
    assert {*Base.metadata.tables, VERSION_TABLE} == tables(url)


def test_a_file_that_cannot_be_opened_is_no_failed_migration(tmp_path: Path) -> None:
    with pytest.raises(DatabaseUnavailable, match="unable to open database file"):
        migrate(f"sqlite:///{tmp_path}/missing/x.db")


def test_a_role_that_may_create_nothing_is_an_error(postgres: Cluster) -> None:
    url = postgres.create("test_migrate_role")
    with psycopg.connect(url, autocommit=True) as owner:
        owner.execute("CREATE ROLE shirase_poor LOGIN")
        owner.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    with pytest.raises(MigrationFailed, match="permission denied for schema public"):
        migrate(url.replace("postgres@", "shirase_poor@"))
    postgres.drop("test_migrate_role")
