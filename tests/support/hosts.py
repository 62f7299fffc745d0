"""Applications of hosts, the examples, under gunicorn behind a stack's Pushpin: one in Flask, one in Django."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from shirase.run.processes import Child
from tests.support.browser_like import Browsers, Device
from tests.support.loop_thread import wait_until
from tests.support.stack import Stack, free_ports

ROOT = Path(__file__).parents[2]
DJANGO_SITE = ROOT / "examples" / "django_site"
START_TIMEOUT = 60.0
SIGN_IN = """
import json, sys, django
django.setup()
from django.contrib.auth import get_user_model, BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.sessions.backends.db import SessionStore
made = {}
for name in json.load(sys.stdin):
    user = get_user_model().objects.create(username=name)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = "django.contrib.auth.backends.ModelBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    made[name] = [str(user.pk), session.session_key]
json.dump(made, sys.stdout)
"""


class Host:
    """One application. Its users are named; what they are called in Shirase, ``ids`` says."""

    def __init__(
        self,
        name: str,
        address: str,
        prefix: str,
        inbox: str,
        application: str,
        directory: Path,
        environ: Mapping[str, str],
        stack: Stack,
    ) -> None:
        """Prepare to run ``application`` at ``address``, where the proxy passes on what begins with ``prefix``."""
        self.stack = stack
        self.url = f"{stack.url}{prefix}"
        self.inbox = f"{stack.url}{inbox}"
        self.devices: list[Device] = []
        self.ids: dict[str, str] = {}
        self.cookies: dict[str, str] = {}
        self.address = address
        self.environ = {**os.environ, **stack.settings_env, **environ}
        self._log = stack.log_dir / f"{name}.log"
        options = [
            "--bind",
            self.address,
            "--workers",
            "2",
            "--preload",
            "--no-control-socket",
            "--log-level",
            "warning",
        ]
        command = [sys.executable, "-m", "gunicorn", *options, "--chdir", str(directory), application]
        self._child = Child(name, command, self.environ, mark=f"{stack.log_dir}/{name}")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        with self._log.open("ab") as log:
            self._child.start(log)
        wait_until(self._answers, START_TIMEOUT, self._log.read_text)

    def close(self) -> None:
        """End it."""
        self._child.kill()

    def worker_pids(self) -> set[int]:
        """The workers of now."""
        pid = self._child.pid
        return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def kill_workers(self) -> None:
        """End every worker with SIGKILL, and wait until others have taken their place."""
        old = self.worker_pids()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(self.worker_pids() - old) >= len(old), START_TIMEOUT, "the workers do not come back")

    def open(self, browsers: Browsers, user: str, **options: Any) -> Device:
        """Open a stream of the user through the host, and wait for its greeting."""
        device = browsers.open(self.inbox, "", cookie=self.cookies[user], **options)
        self.devices.append(device)
        device.wait(lambda one: one.named("connected") or one.named("reset"))
        return device

    def ask(self, method: str, path: str, user: str, **options: Any) -> httpx.Response:
        """Ask the inbox as a page of the host's does."""
        headers = {"Cookie": self.cookies[user], **options.pop("headers", {})}
        with httpx.Client(trust_env=False, timeout=20) as http:
            return http.request(method, self.inbox + path, headers=headers, **options)

    def schedule(self, candidate: str, title: str) -> None:
        """Let the candidate schedule an interview with themselves: the change of the host's that notifies."""
        cookie = f"{self.cookies[candidate]}; csrftoken={'c' * 32}"
        headers = {"Cookie": cookie, "X-CSRFToken": "c" * 32}
        with httpx.Client(trust_env=False, timeout=20) as http:
            fields = {"candidate": candidate, "title": title}
            answer = http.post(f"{self.url}interviews", data=fields, headers=headers)
            assert answer.status_code == 302, answer.text

    def _answers(self) -> bool:
        try:
            with httpx.Client(trust_env=False) as http:
                return http.get(self.url).status_code < 500
        except httpx.TransportError:
            return False


def djangos() -> list[tuple[str, Path | None]]:
    """The Djangos to test with: the newest that this Python runs, and 5.2 where that is another."""
    oldest = ROOT / ".venv" / "django-5.2"  # made by .ci/install
    newest = version("django")
    return [(newest, None)] + ([("5.2", oldest)] if not newest.startswith("5.2.") else [])


INBOXES = ("/hiring/inbox", "/site/inbox")  # where the examples have mounted our routes


def mounts() -> dict[str, str]:
    """Places for both examples behind one proxy."""
    flask, django = free_ports(2)
    return {"/hiring/": f"127.0.0.1:{flask}", "/site/": f"127.0.0.1:{django}"}


@contextmanager
def flask_host(stack: Stack, address: str, users: Sequence[str]) -> Iterator[Host]:
    """The Flask example, with these users signed in."""
    host = Host("flask", address, "/hiring/", "/hiring/inbox", "examples.flask_host:create_app()", ROOT, {}, stack)
    run(["-m", "flask", "--app", "examples.flask_host", "init"], host.environ, ROOT)
    try:
        host.start()
        for user in users:
            with httpx.Client(trust_env=False) as http:
                cookie = http.get(host.url, params={"user": user}).cookies["session"]
            host.ids[user], host.cookies[user] = user, f"session={cookie}"
        yield host
    finally:
        host.close()


@contextmanager
def django_host(stack: Stack, address: str, users: Sequence[str], packages: Path | None = None) -> Iterator[Host]:
    """The Django example, with these users signed in; its Django is that of ``packages`` if named."""
    paths = [*([str(packages)] if packages else []), str(ROOT), *sys.path]
    environ = {"PYTHONPATH": os.pathsep.join(paths), "DJANGO_SETTINGS_MODULE": "hiring.settings"}
    host = Host("django", address, "/site/", "/site/inbox", "hiring.wsgi", DJANGO_SITE, environ, stack)
    for command in ("check", "migrate"):
        run(["manage.py", command], host.environ, DJANGO_SITE)
    made = json.loads(run(["-c", SIGN_IN], host.environ, DJANGO_SITE, said=json.dumps(list(users))))
    for user, (number, session) in made.items():
        host.ids[user], host.cookies[user] = number, f"sessionid={session}"
    try:
        host.start()
        yield host
    finally:
        host.close()


def run(arguments: Sequence[str], environ: Mapping[str, str], directory: Path, said: str = "") -> str:
    """A command of a host's; its warnings are errors."""
    ended = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", *arguments],
        env={**environ},
        cwd=directory,
        input=said,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
