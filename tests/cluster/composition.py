"""The composition as it runs: its services as containers, and requests to its one published port."""

import os
import resource
import shutil
import signal
import socket
import sysconfig
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import httpx

from tests.cluster.engine import ROOT, remove, run
from tests.support.certificates import make_authority
from tests.support.held_stream import HeldStream

PROJECT = "shirase-cluster"
HOST, MAIL_PORT, WEB_PORT, PASSWORD = "sink.example.com", 1587, 8080, "p" * 24
FILES = ("docker-compose.yml", *(f"deploy/compose-{name}.yml" for name in ("outbound", "mail", "push")))
SINK = Path(__file__).with_name("sink.py")
SERVICES = ("postgres", "api", "relay", "pushpin")
USER = "aiko"
SCOPES = "notifications:write notifications:admin"


class Composition:
    """Brought up by ``up``, removed with its data by ``down``."""

    def __init__(self, home: Path, images: dict[str, str]) -> None:
        """Choose a port and make the secrets."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.url = f"http://127.0.0.1:{probe.getsockname()[1]}"
        run(str(ROOT / "deploy/make-secrets"), str(home / "secrets"))
        (home / "secrets/smtp_password").write_text(PASSWORD)
        (home / "certificates").mkdir()
        make_authority(home / "certificates", HOST)
        limit = min(262_144, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
        program = ["docker-compose"] if shutil.which("docker-compose") else ["docker", "compose"]
        files = [*(ROOT / name for name in FILES), SINK.with_suffix(".yml")]
        self._compose = [*program, *(word for path in files for word in ("-f", str(path))), "-p", PROJECT]
        self.environ = {
            **images,
            "SECRETS": str(home / "secrets"),
            "PUBLISH": self.url.removeprefix("http://"),
            "PUBLIC_URL": self.url,
            "FILE_LIMIT": str(limit),
            "SMTP_HOST": HOST,
            "SMTP_PORT": str(MAIL_PORT),
            "SMTP_USER": "shirase",
            "MAIL_FROM": "shirase@example.com",
            "MAIL_WINDOW": "0",
            "VAPID_CONTACT": "ops@example.com",
            "OUTBOUND_PRIVATE_HOSTS": HOST,
            "CERTIFICATES": str(home / "certificates"),
            "PACKAGES": sysconfig.get_path("purelib"),
            "SINK": str(SINK),
            "SMTP_PASSWORD": PASSWORD,
            "WEB_PORT": str(WEB_PORT),
        }
        self.http = httpx.Client(base_url=self.url, trust_env=False, timeout=30)

    def compose(self, *arguments: str, **environ: str) -> str:
        """Run a command of docker compose."""
        return run(*self._compose, *arguments, env={**self.environ, **environ})

    def up(self) -> None:
        """Start all of it, and wait until it serves."""
        remove(PROJECT)  # what a run that was killed may have left
        self.compose("up", "-d", "--no-build")
        self.wait_ready()

    def down(self) -> None:
        """Remove everything."""
        self.http.close()
        remove(PROJECT)

    def wait_ready(self, timeout: float = 60) -> float:
        """Wait until handlers answer through the node; the seconds that it took."""
        begun = time.monotonic()
        wait_until(self._answers, timeout, "the handlers answer")
        return time.monotonic() - begun

    def sign_in(self) -> None:
        """Get a token from the command that is in the image."""
        command = ["shirase", "token", "--user", USER, "--scope", SCOPES, "--ttl", "36000"]
        token = self.execute("api", *command)
        self.http.headers["Authorization"] = f"Bearer {token}"

    def create(self, title: str, kind: str = "cluster") -> int:
        """Create a notification, once; the status, or 0 if nothing answered."""
        body = {"user_id": USER, "type": kind, "title": title, "message": ""}
        try:
            return self.http.post("/api/notifications", json=body).status_code
        except httpx.HTTPError:
            return 0

    def container(self, service: str) -> str:
        """Its id."""
        filters = {"project": PROJECT, "service": service}
        labels = (f"--filter=label=com.docker.compose.{name}={value}" for name, value in filters.items())
        return run("docker", "ps", "--all", "--quiet", *labels).strip()

    def execute(self, service: str, *command: str) -> str:
        """The output of a command in it."""
        return run("docker", "exec", self.container(service), *command).strip()

    def logs(self, service: str) -> list[str]:
        """The lines that it has printed."""
        return run("docker", "logs", self.container(service)).splitlines()

    def inspect(self, service: str, template: str) -> str:
        """What the engine reports of its container."""
        return run("docker", "inspect", "--format", template, self.container(service)).strip()

    def stop(self, service: str) -> None:
        """Stop it as ``docker compose stop`` does."""
        run("docker", "stop", "--time", "30", self.container(service))

    def start(self, service: str) -> None:
        """Start it again."""
        run("docker", "start", self.container(service))

    def kill(self, service: str) -> None:
        """End its first process as the kernel would, so that its restart policy applies."""
        pid = int(self.inspect(service, "{{.State.Pid}}"))
        if pid <= 0:  # it does not run, and the kernel takes 0 for this process's own group
            raise RuntimeError(f"{service} does not run, so it cannot be killed")
        os.kill(pid, signal.SIGKILL)

    def _answers(self) -> bool:
        with suppress(httpx.HTTPError):
            return self.http.get("/healthz").status_code == httpx.codes.OK
        return False


class Device(HeldStream):
    """A stream of the user's, through the published port."""

    def __init__(self, composition: Composition) -> None:
        """Open it."""
        http = composition.http
        super().__init__(httpx.Client(base_url=http.base_url, headers=http.headers, trust_env=False, timeout=600))


def wait_until(condition: Callable[[], object], timeout: float, what: str) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout:.0f} s: {what}")
        time.sleep(0.1)
