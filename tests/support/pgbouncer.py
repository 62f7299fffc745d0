"""PgBouncer from Debian's packages, between us and a PostgreSQL of the tests'."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import make_url

from tests.support.loop_thread import wait_until
from tests.support.stack import free_ports

PROGRAM = "/usr/sbin/pgbouncer"
BOUND = 20.0  # seconds until it must listen
CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {directory}/users
pool_mode = {mode}
default_pool_size = {sessions}
ignore_startup_parameters = {ignored}
"""


@contextmanager
def pooled(url: str, mode: str, ignored: str = "") -> Iterator[str]:
    """The address of the same database through a PgBouncer, whose few sessions its clients share."""
    parsed, port = make_url(url), free_ports(1)[0]
    user = "postgres" if os.getuid() == 0 else None  # it refuses to be root
    with tempfile.TemporaryDirectory(prefix="shirase-pgbouncer-") as name:
        directory = Path(name)
        (directory / "users").write_text('"postgres" ""\n')
        (directory / "ini").write_text(
            CONFIGURATION.format(
                server=parsed.port,
                port=port,
                directory=directory,
                mode=mode,
                ignored=ignored,
                sessions=20 if mode == "session" else 3,
            )
        )
        for path in (directory, *directory.iterdir()):
            if user:
                shutil.chown(path, user)
        with (
            (directory / "log").open("w") as log,
            subprocess.Popen(
                [PROGRAM, str(directory / "ini")], user=user, stdout=log, stderr=log, stdin=subprocess.DEVNULL
            ) as process,
        ):
            try:
                wait_until(lambda: _listens(port), BOUND, (directory / "log").read_text)
                yield parsed.set(port=port).render_as_string(hide_password=False)
            finally:
                process.kill()


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
