"""Handlers on a socket that systemd holds: a restart refuses nobody."""

import os
import socket
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

import httpx

from tests.support.loop_thread import wait_until

STARTED = 60.0
# What systemd does: the socket as descriptor 3, and its number of sockets and process in the environment.
ACTIVATE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.argv[2], sys.argv[2:])
"""


def test_handlers_serve_on_a_socket_of_systemds(tmp_path: Path, sqlite_url: str) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as held:
        url = f"http://127.0.0.1:{held.getsockname()[1]}"
        notify = tmp_path / "notify"
        with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as notified:
            notified.bind(str(notify))
            notified.settimeout(STARTED)
            environ = {
                **os.environ,
                "DATABASE_URL": sqlite_url,
                "GRIP_URL": "http://127.0.0.1:1",
                "PUSHPIN_SIG_KEY": "k" * 32,
                "JWT_SECRET": "j" * 32,
                "LISTEN_FDS": "1",
                "NOTIFY_SOCKET": str(notify),
                "PYTHONPATH": os.pathsep.join(sys.path),
            }
            program = [sys.executable, "-m", "gunicorn", "-c", "python:shirase.run.gunicorn_config", "shirase.wsgi:app"]
            command = [sys.executable, "-c", ACTIVATE, str(held.fileno()), *program]
            with (tmp_path / "log").open("wb") as log:
                process = subprocess.Popen(command, env=environ, pass_fds=(held.fileno(),), stdout=log, stderr=log)
            try:
                assert b"READY=1" in notified.recv(1000)
                wait_until(lambda: answers(url), STARTED, (tmp_path / "log").read_text)
            finally:
                process.terminate()
                process.wait()


def answers(url: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{url}/healthz", trust_env=False).status_code == httpx.codes.OK
    return False
