"""Applications of hosts, the examples, under their usual servers behind a stack's Pushpin."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import httpx

from shirase.run.node import installed_version
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


Server = Callable[[str, Path, str], list[str]]  # the command that serves an application of a directory at HOST:PORT


def gunicorn(address: str, directory: Path, application: str) -> list[str]:
    """Two workers of gunicorn, with threads if connections are to be kept, as docs/pushpin.md advises."""
    options = ["--bind", address, "--workers", "2", "--preload", "--no-control-socket", "--log-level", "warning"]
    options += ["--threads", "2"] if installed_version() >= (1, 40) else []
    return [sys.executable, "-m", "gunicorn", *options, "--chdir", str(directory), application]


def uvicorn(address: str, directory: Path, application: str) -> list[str]:
    """Two workers of uvicorn, which call a factory.

    Connections are kept as docs/fastapi.md advises; and a worker that starts slowly is not taken for dead. A worker
    that is killed while it is pinged is replaced only when that ping's time is over, so it is a third of ours.
    """
    host, _, port = address.rpartition(":")
    options = ["--host", host, "--port", port, "--workers", "2", "--log-level", "warning", "--factory"]
    options += ["--timeout-keep-alive", "0"] if installed_version() < (1, 40) else []
    options += ["--timeout-worker-healthcheck", "20"]
    return [sys.executable, "-m", "uvicorn", *options, "--app-dir", str(directory), application]


class Host:
    """One application. ``ids`` maps its user names to user ids in Shirase."""

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
        server: Server = gunicorn,
    ) -> None:
        """Prepare to run ``application`` at ``address``, to which the proxy routes paths below ``prefix``."""
        self.stack = stack
        self.url = f"{stack.url}{prefix}"
        self.inbox = f"{stack.url}{inbox}"
        self.devices: list[Device] = []
        self.ids: dict[str, str] = {}
        self.cookies: dict[str, str] = {}
        self.address = address
        self.environ = {**os.environ, **stack.settings_env, **environ}
        self._log = stack.log_dir / f"{name}.log"
        command = server(self.address, directory, application)
        self._child = Child(name, command, self.environ, mark=f"{stack.log_dir}/{name}")

    def start(self) -> None:
        """Start the application and wait until it answers."""
        with self._log.open("ab") as log:
            self._child.start(log)
        wait_until(self._answers, START_TIMEOUT, self._log.read_text)

    def sign_in(self, users: Sequence[str]) -> None:
        """As the pages of the Flask and the FastAPI example do it: by naming the user."""
        with httpx.Client(trust_env=False) as http:
            for user in users:
                http.cookies.clear()
                cookie = http.get(self.url, params={"user": user}).cookies["session"]
                self.ids[user], self.cookies[user] = user, f"session={cookie}"

    def close(self) -> None:
        """Stop the application."""
        self._child.kill()

    def worker_pids(self) -> set[int]:
        """The process ids of the current workers."""
        pid = self._child.pid
        children = {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
        return {child for child in children if not _is_tracker(child)}

    def kill_workers(self) -> None:
        """Kill every worker with SIGKILL, and wait until new ones have started."""
        old = self.worker_pids()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: len(self.worker_pids() - old) >= len(old), START_TIMEOUT, self._why_no_workers)

    def _why_no_workers(self) -> str:
        log = self._log.read_text()[-2000:]
        return f"the workers do not come back: there are {self.worker_pids()}, and the log ends with {log}"

    def open(self, browsers: Browsers, user: str, **options: Any) -> Device:
        """Open a stream of the user through the application, and wait for ``connected``."""
        device = browsers.open(self.inbox, "", cookie=self.cookies[user], **options)
        self.devices.append(device)
        device.wait(lambda seen: seen.named("connected") or seen.named("reset"))
        return device

    def ask(self, method: str, path: str, user: str, **options: Any) -> httpx.Response:
        """Send a request to the inbox as the application's pages do."""
        headers = {"Cookie": self.cookies[user], **options.pop("headers", {})}
        with httpx.Client(trust_env=False, timeout=20) as http:
            return http.request(method, self.inbox + path, headers=headers, **options)

    def schedule(self, candidate: str, title: str) -> None:
        """Have the candidate schedule an interview with themselves, which creates a notification."""
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


def _is_tracker(pid: int) -> bool:
    """Whether it is the resource tracker of ``multiprocessing``, by which uvicorn starts its workers, or gone."""
    try:
        return b"resource_tracker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return True


def djangos() -> list[tuple[str, Path | None]]:
    """Return the Django versions to test with: the newest for this Python, and 5.2 if that differs."""
    oldest = ROOT / ".venv" / "django-5.2"  # installed by .ci/install
    newest = version("django")
    return [(newest, None)] + ([("5.2", oldest)] if not newest.startswith("5.2.") else [])


INBOXES = ("/hiring/inbox", "/site/inbox", "/meetings/inbox")  # where the examples have mounted our operations


def mounts() -> dict[str, str]:
    """Places for the examples behind one proxy."""
    return dict(zip(("/hiring/", "/site/", "/meetings/"), (f"127.0.0.1:{port}" for port in free_ports(3)), strict=True))


@contextmanager
def flask_host(
    stack: Stack,
    address: str,
    users: Sequence[str],
    server: Server = gunicorn,
    application: str = "examples.flask_host:create_app()",
) -> Iterator[Host]:
    """Run the Flask example with these users signed in."""
    host = Host("flask", address, "/hiring/", "/hiring/inbox", application, ROOT, {}, stack, server)
    run(["-m", "flask", "--app", "examples.flask_host", "init"], host.environ, ROOT)
    try:
        host.start()
        host.sign_in(users)
        yield host
    finally:
        host.close()


@contextmanager
def fastapi_host(stack: Stack, address: str, users: Sequence[str]) -> Iterator[Host]:
    """The FastAPI example, with these users signed in."""
    module = "examples.fastapi_host"
    host = Host(
        "fastapi", address, "/meetings/", "/meetings/inbox", f"{module}:create_app", ROOT, {}, stack, server=uvicorn
    )
    run(["-m", module], host.environ, ROOT)
    try:
        host.start()
        host.sign_in(users)
        yield host
    finally:
        host.close()


@contextmanager
def django_host(
    stack: Stack,
    address: str,
    users: Sequence[str],
    packages: Path | None = None,
    server: Server = gunicorn,
    application: str = "hiring.wsgi",
) -> Iterator[Host]:
    """Run the Django example with these users signed in, on the Django in ``packages`` if set."""
    paths = [*([str(packages)] if packages else []), str(ROOT), *sys.path]
    environ = {"PYTHONPATH": os.pathsep.join(paths), "DJANGO_SETTINGS_MODULE": "hiring.settings"}
    host = Host("django", address, "/site/", "/site/inbox", application, DJANGO_SITE, environ, stack, server)
    for command in ("check", "migrate"):
        run(["manage.py", command], host.environ, DJANGO_SITE)
    made = json.loads(run(["-c", SIGN_IN], host.environ, DJANGO_SITE, input_text=json.dumps(list(users))))
    for user, (number, session) in made.items():
        host.ids[user], host.cookies[user] = number, f"sessionid={session}"
    try:
        host.start()
        yield host
    finally:
        host.close()


def run(arguments: Sequence[str], environ: Mapping[str, str], directory: Path, input_text: str = "") -> str:
    """Run a command of the application; warnings are errors."""
    ended = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning", *arguments],
        env={**environ},
        cwd=directory,
        input=input_text,
        capture_output=True,
        text=True,
        timeout=START_TIMEOUT,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout
