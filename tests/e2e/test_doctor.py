"""`shirase doctor` against a healthy service, and against each kind of broken one."""

import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from shirase.run.processes import Child, gunicorn_command, relay_command
from tests.chaos.test_clock import SOURCE as CLOCK
from tests.conftest import MakeDatabase
from tests.support.browser_like import Browsers
from tests.support.forwarder import Mode
from tests.support.fragile import Fragile, fragile_service
from tests.support.loop_thread import wait_until
from tests.support.service import Service
from tests.support.stack import free_ports

BOUND = 60.0
ALL = {
    "database",
    "session",
    "schema",
    "writable",
    "control port",
    "relay",
    "statistics",
    "deliveries",
    "webhooks",
    "route",
    "clocks",
    "signing key",
    "file limit",
    "buffering",
    "event",
}
NGINX = """
daemon off;
pid {home}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {url};
            proxy_http_version 1.1;
            proxy_ignore_headers X-Accel-Buffering;
            gzip on;
            gzip_proxied any;
            gzip_types text/event-stream;
        }}
    }}
}}
"""

Break = Callable[[Fragile, Path], AbstractContextManager[str]]  # yields the address to check


class Report:
    """The doctor's output."""

    def __init__(self, ended: subprocess.CompletedProcess[str]) -> None:
        self.code, self.text = ended.returncode, ended.stdout + ended.stderr
        self.lines = {line[7:21].strip(): line for line in ended.stdout.splitlines()}

    def marked(self, mark: str) -> set[str]:
        return {name for name, line in self.lines.items() if line[:6].strip() == mark}


def doctor(stack_env: Mapping[str, str], url: str, cwd: Path) -> Report:
    command = [sys.executable, "-m", "shirase", "doctor", "--url", url]
    environ = {**os.environ, **stack_env}
    return Report(
        subprocess.run(command, env=environ, cwd=cwd, capture_output=True, text=True, timeout=BOUND, check=False)
    )


@pytest.fixture(scope="module")
def patient(
    tmp_path_factory: pytest.TempPathFactory, browsers: Browsers, make_database: MakeDatabase
) -> Iterator[Fragile]:
    """One service, which every test breaks in its own way and repairs."""
    home = tmp_path_factory.mktemp("patient")
    with make_database("postgresql") as url, fragile_service(url, home, browsers) as running:
        yield running


def test_a_healthy_service_passes(service: Service, tmp_path: Path) -> None:
    result = doctor(service.stack.settings_env, service.stack.url, tmp_path)

    assert result.marked("ok") == ALL, result.text
    assert result.code == 0
    assert "ms after it was sent" in result.lines["event"]
    # Its notification is removed.
    left = service.ask("GET", "/api/notifications", "shirase-doctor").json()
    assert left["notifications"] == []


@contextmanager
def wrong_key(patient: Fragile, home: Path) -> Iterator[str]:
    with other_handlers(patient, home, {"PUSHPIN_SIG_KEY": "another key, of thirty-two bytes or more"}):
        yield patient.stack.url


@contextmanager
def wrong_route(patient: Fragile, _home: Path) -> Iterator[str]:
    right = patient.origin.target_port
    patient.origin.target_port = patient.stack.proxies[0].control_port
    yield patient.stack.url
    patient.origin.target_port = right


@contextmanager
def nothing_there(_patient: Fragile, _home: Path) -> Iterator[str]:
    yield "http://127.0.0.1:1"


@contextmanager
def control_port_closed(patient: Fragile, _home: Path) -> Iterator[str]:
    patient.control.mode = Mode.REFUSE
    yield patient.stack.url
    patient.control.mode = Mode.PASS


@contextmanager
def clock_off(patient: Fragile, home: Path) -> Iterator[str]:
    library, offset = home / "clock.so", home / "clock"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(CLOCK)], check=True)
    offset.write_text("300")
    with other_handlers(patient, home, {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(offset)}):
        yield patient.stack.url


@contextmanager
def buffering_proxy(patient: Fragile, home: Path) -> Iterator[str]:
    port = free_ports(1)[0]
    url = f"http://127.0.0.1:{port}"
    configuration = home / "nginx.conf"
    configuration.write_text(NGINX.format(home=home, port=port, url=patient.stack.url))
    command = ["/usr/sbin/nginx", "-c", str(configuration), "-p", str(home), "-e", "stderr"]
    with started("nginx", command, {}, home, f"{url}/healthz"):
        yield url


@contextmanager
def no_schema(patient: Fragile, _home: Path) -> Iterator[str]:
    (newest,) = execute(patient, "SELECT version_num FROM shirase_version")
    execute(patient, "DELETE FROM shirase_version")
    yield patient.stack.url
    execute(patient, f"INSERT INTO shirase_version VALUES ('{newest}')")  # noqa: S608 - it is our own


@contextmanager
def newer_schema(patient: Fragile, _home: Path) -> Iterator[str]:
    (newest,) = execute(patient, "SELECT version_num FROM shirase_version")
    execute(patient, "UPDATE shirase_version SET version_num = '9999'")
    yield patient.stack.url
    execute(patient, f"UPDATE shirase_version SET version_num = '{newest}'")  # noqa: S608 - it is our own


@contextmanager
def few_files(patient: Fragile, _home: Path) -> Iterator[str]:
    programs = patient.stack.pushpin_programs().values()
    before = {pid: resource.prlimit(pid, resource.RLIMIT_NOFILE) for pid in programs}
    for pid, (_, hard) in before.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (1024, hard))
    yield patient.stack.url
    for pid, limits in before.items():
        resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)


@contextmanager
def no_relay(patient: Fragile, _home: Path) -> Iterator[str]:
    patient.stack.kill_relay()
    yield patient.stack.url
    patient.stack.start_relay()


@contextmanager
def deaf_relay(patient: Fragile, home: Path) -> Iterator[str]:
    with no_relay(patient, home):
        environ = {**patient.stack.settings_env, "PUSHPIN_STATS_URL": "tcp://127.0.0.1:1"}
        with started("relay", relay_command(), environ, home):
            yield patient.stack.url


@contextmanager
def read_only_database(patient: Fragile, _home: Path) -> Iterator[str]:
    (name,) = execute(patient, "SELECT current_database()")
    execute(patient, f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    yield patient.stack.url
    execute(patient, f"SET default_transaction_read_only = off; ALTER DATABASE {name} RESET ALL")
    # Existing connections keep their setting.
    execute(patient, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")


@contextmanager
def no_database(patient: Fragile, _home: Path) -> Iterator[str]:
    right = patient.stack.settings_env["DATABASE_URL"]
    patient.stack.settings_env["DATABASE_URL"] = "postgresql://nobody:hidden@127.0.0.1:1/none"
    yield patient.stack.url
    patient.stack.settings_env["DATABASE_URL"] = right


# A failure, the checks that must fail, and what the fix must name.
BROKEN: list[tuple[Break, set[str], str]] = [
    (wrong_key, {"signing key"}, "PUSHPIN_SIG_KEY"),
    (wrong_route, {"route"}, "--origin"),
    (nothing_there, {"route"}, "--url"),
    (control_port_closed, {"control port"}, "GRIP_URL"),
    (clock_off, {"clocks"}, "set-ntp"),
    (buffering_proxy, {"buffering"}, "proxy_buffering off"),
    (no_schema, {"schema"}, "shirase migrate"),
    (newer_schema, {"schema"}, "install the release"),
    (few_files, {"file limit"}, "ulimit -n"),
    (no_relay, {"relay"}, "shirase relay"),
    (deaf_relay, {"statistics"}, "PUSHPIN_STATS_URL"),
    (no_database, {"database"}, "DATABASE_URL"),
    (read_only_database, {"writable"}, "default_transaction_read_only"),
]


@pytest.mark.parametrize(("broken", "named", "fix"), BROKEN, ids=[case[0].__name__ for case in BROKEN])
def test_each_failure_is_reported_with_its_fix(
    patient: Fragile, tmp_path: Path, broken: Break, named: set[str], fix: str
) -> None:
    with broken(patient, tmp_path) as url:
        result = doctor(patient.stack.settings_env, url, tmp_path)

    assert result.code == 1, result.text
    assert set(result.lines) == ALL, result.text
    assert result.marked("FAILED") >= named, result.text
    if broken is not read_only_database:  # some of its connections can still write, others cannot
        assert result.marked("FAILED") == named, result.text
    assert any(fix in result.lines[name].partition("fix: ")[2] for name in named), result.text
    assert "hidden" not in result.text


@contextmanager
def other_handlers(patient: Fragile, home: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Route the proxy to handlers with other settings."""
    right, port = patient.origin.target_port, free_ports(1)[0]
    command = gunicorn_command(f"127.0.0.1:{port}", 1)
    with started("gunicorn", command, {**patient.stack.settings_env, **env}, home, f"http://127.0.0.1:{port}/healthz"):
        patient.origin.target_port = port
        yield
        patient.origin.target_port = right


@contextmanager
def started(
    name: str, command: list[str], env: Mapping[str, str], home: Path, answers: str | None = None
) -> Iterator[None]:
    """Run a program until its address answers, and end it afterwards."""
    path = home / f"{name}.log"
    child = Child(name, command, {**os.environ, **env}, mark=f"{home}/{name}")
    with ExitStack() as running, path.open("wb") as log:
        running.callback(child.kill)
        child.start(log)
        if answers:
            wait_until(lambda: responds(answers), BOUND, path.read_text)
        yield


def responds(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.HTTPError:
        return False


def execute(patient: Fragile, statement: str) -> list[str]:
    with patient.service.database.engine.connect() as connection:
        rows = connection.execute(text(statement))
        return [str(row[0]) for row in rows] if rows.returns_rows else []
