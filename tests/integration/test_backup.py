"""The commands of docs/backup.md, as they stand there."""

import re
import shutil
import subprocess
from pathlib import Path

from sqlalchemy import create_engine, select, table, text

from shirase.store.database import parse_url
from shirase.store.tables import Base

PAGE = (Path(__file__).parents[2] / "docs/backup.md").read_text()


def commands(program: str) -> str:
    (line,) = [line for line in PAGE.splitlines() if line.startswith(f"{program} ")]
    return line


def rows(url: str) -> dict[str, list[tuple[object, ...]]]:
    engine = create_engine(parse_url(url).url)
    with engine.connect() as connection:
        result = {
            name: sorted(
                (tuple(row) for row in connection.execute(select(text("*")).select_from(table(name)))), key=repr
            )
            for name in [*Base.metadata.tables, "shirase_version"]
        }
    engine.dispose()
    return result


def change(url: str) -> None:
    engine = create_engine(parse_url(url).url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE shirase_database_name SET name = 'changed'"))
        connection.execute(text("DELETE FROM shirase_version"))
    engine.dispose()


def test_a_postgresql_backup_restores_every_row(postgres_url: str, tmp_path: Path) -> None:
    bin_directory = next(Path("/usr/lib/postgresql").glob("*/bin"))
    environ = {"DATABASE_URL": postgres_url, "PATH": f"{bin_directory}:/usr/bin:/bin"}
    before = rows(postgres_url)
    subprocess.run(commands("pg_dump"), shell=True, env=environ, cwd=tmp_path, check=True)  # noqa: S602 - the page's own
    change(postgres_url)
    assert rows(postgres_url) != before
    subprocess.run(commands("pg_restore"), shell=True, env=environ, cwd=tmp_path, check=True)  # noqa: S602
    assert rows(postgres_url) == before


def test_a_sqlite_backup_restores_every_row(sqlite_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    before = rows(sqlite_url)
    command = re.sub(r"\s+#.*", "", commands("sqlite3"))
    subprocess.run(command, shell=True, cwd=path.parent, check=True)  # noqa: S602 - the page's own
    change(sqlite_url)
    assert rows(sqlite_url) != before
    shutil.move(path.parent / "shirase-backup.db", path)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    assert rows(sqlite_url) == before
