"""A PostgreSQL server for the tests, from Debian's packages, in a directory that is removed at the end."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.stack import free_ports

PROGRAMS = Path("/usr/lib/postgresql")
START_TIMEOUT = 60  # seconds
OPTIONS = {
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "300",
    "max_prepared_transactions": "10",  # an application may commit in two phases
    "listen_addresses": "127.0.0.1",
}


@contextmanager
def cluster(options: Mapping[str, str] = OPTIONS) -> Iterator["Cluster"]:
    """Run a server, as `postgres` if we are root, since it refuses to run as root."""
    directory = Path(tempfile.mkdtemp(prefix="shirase-postgres-"))
    user = "postgres" if os.getuid() == 0 else None
    if user:
        shutil.chown(directory, user, user)
    running = Cluster(directory, free_ports(1)[0], user, options)
    with running.ended_with_us():
        running.run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync")
        running.start()
        yield running


class Cluster:
    """A server and its databases."""

    def __init__(self, directory: Path, port: int, user: str | None, options: Mapping[str, str]) -> None:
        self.directory = directory
        self.port = port
        self._user = user
        self._options = options
        self._programs = newest_programs()

    def run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [str(self._programs / program), "-D", str(self.directory / "data"), *arguments],
            check=True,
            user=self._user,
            cwd=self.directory,
            stdout=subprocess.DEVNULL,
            timeout=START_TIMEOUT * 2,
        )

    @contextmanager
    def ended_with_us(self) -> Iterator[None]:
        """Have another process stop the server and clean up when its standard input ends.

        That happens at the end of this block, and also if we are killed before it.
        """
        stop = 'cat; "$0"/pg_ctl -D "$1"/data -m immediate stop; rm -rf "$1"'
        with subprocess.Popen(
            ["sh", "-c", stop, str(self._programs), str(self.directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=self._user,
            cwd="/",
            start_new_session=True,  # so that Ctrl-C does not end it together with us
        ):
            yield

    def start(self) -> None:
        chosen = {**self._options, "port": str(self.port), "unix_socket_directories": str(self.directory)}
        options = " ".join(f"-c {name}={value}" for name, value in chosen.items())
        log = str(self.directory / "log")
        self.run("pg_ctl", "-w", "-t", str(START_TIMEOUT), "-l", log, "-o", options, "start")

    def trust(self, addresses: str) -> None:
        """Let these other hosts connect."""
        with (self.directory / "data" / "pg_hba.conf").open("a") as file:
            file.write(f"host all all {addresses} trust\n")
        self.run("pg_ctl", "reload")

    def stop(self, how: str = "immediate") -> None:
        if (self.directory / "data" / "postmaster.pid").exists():
            self.run("pg_ctl", "-w", "-m", how, "stop")

    def url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{name}"

    def create(self, name: str, template: str = "template0") -> str:
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        self._execute(statement)
        return self.url(name)

    def drop(self, name: str) -> None:
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)


def newest_programs() -> Path:
    result = [path for path in PROGRAMS.glob("*/bin") if (path / "initdb").exists()]
    if not result:
        raise RuntimeError("PostgreSQL is not installed: `make test` installs it")
    return max(result, key=lambda path: int(path.parent.name))
