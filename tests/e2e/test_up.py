"""`shirase up` as a process: what it prints, what it survives, and what remains afterwards."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from shirase.access import tickets, tokens
from shirase.access.tokens import Identity
from shirase.run.data_directory import KEYS, read_settings
from shirase.run.node import run_directory
from shirase.run.processes import family
from shirase.run.readiness import PATH, TRY_TIMEOUT, stream_opens
from shirase.settings import Settings
from tests.support.stack import free_row

ROOT = Path(__file__).parents[2]
CHILDREN = ("pushpin", "gunicorn", "relay")
NEEDED = (*KEYS, "DATABASE_URL", "GRIP_URL")
BOUND = 40.0  # seconds to wait for anything


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + BOUND
    while not condition():
        assert time.monotonic() < deadline, f"in {BOUND} s there was no {what}"
        time.sleep(0.05)


class Copy:
    """One `shirase up`, in a working directory without a `.env`."""

    def __init__(
        self, home: Path, *options: str, port: int | None = None, env: Mapping[str, str] | None = None
    ) -> None:
        self.data_dir, self.port = home / "data", port or free_row(5)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self._output, self._errors = home / f"{self.port}.out", home / f"{self.port}.err"
        command = [sys.executable, "-m", "shirase", "up", "--port", str(self.port), "--data-dir", str(self.data_dir)]
        inherited = {name: value for name, value in os.environ.items() if name not in NEEDED}
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self.process = subprocess.Popen(
                [*command, "--workers", "1", *options],
                cwd=home,
                env={**inherited, "PYTHONPATH": str(ROOT), **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
            )

    @property
    def output(self) -> str:
        return self._output.read_text()

    @property
    def errors(self) -> str:
        return self._errors.read_text()

    def wait_ready(self) -> None:
        wait_for("end of the start", lambda: "ready:" in self.output or self.process.poll() is not None)
        assert f"ready: {self.url}\n" in self.output, self.errors

    def refusal(self) -> tuple[int, str]:
        """Return the exit code and the line that explains it; no process may be left."""
        code = self.process.wait(BOUND)
        assert self.errors.count("\n") == 1, self.errors
        assert "ready" not in self.output
        assert not self.left()
        return code, self.errors

    def token(self) -> str:
        return tokens.mint(Settings.from_env(read_settings(self.data_dir)), "aiko")

    def opens(self, patience: float = TRY_TIMEOUT) -> bool:
        settings = Settings.from_env(read_settings(self.data_dir))
        return stream_opens(self.url, tickets.issue(settings, Identity("aiko")), patience)

    def accepts(self, token: str) -> bool:
        headers = {"Authorization": f"Bearer {token}"}
        url = f"{self.url}/api/notifications/unread-count"
        return httpx.get(url, headers=headers, timeout=BOUND, trust_env=False).is_success

    def family(self, child: str) -> list[int]:
        return family(f"{self.data_dir}/{child}")

    def left(self) -> list[int]:
        return [pid for child in CHILDREN for pid in self.family(child)]

    def end(self) -> None:
        """End all processes, in any state."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(BOUND)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(BOUND)
        for pid in self.left():
            os.kill(pid, signal.SIGKILL)


@contextmanager
def copy_of(home: Path, *options: str, port: int | None = None, env: Mapping[str, str] | None = None) -> Iterator[Copy]:
    home.mkdir(exist_ok=True)
    copy = Copy(home, *options, port=port, env=env)
    try:
        yield copy
    finally:
        copy.end()
        rmtree(
            run_directory(copy.data_dir), ignore_errors=True
        )  # outside of the data directory if that has a long path


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    home = tmp_path_factory.mktemp("up")
    with copy_of(home, "--demo", env={"SSE_KEEPALIVE_TIMEOUT": "2"}) as copy:
        copy.wait_ready()
        yield copy


def programs(copy: Copy, child: str) -> dict[str, int]:
    """Return the running programs of a family by name (for Python, the module), each with its oldest process."""
    result: dict[str, int] = {}
    for pid in sorted(copy.family(child), reverse=True):
        with suppress(OSError):  # ended meanwhile
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            result[words[2] if words[1:2] == ["-m"] else Path(words[0]).name] = pid
    return result


def test_ready_means_that_a_stream_opens(running: Copy) -> None:
    assert running.opens()
    assert running.output.endswith(f"ready: {running.url}\n")


def test_connections_are_counted_without_the_readiness_probe(running: Copy) -> None:
    settings = Settings.from_env(read_settings(running.data_dir))
    headers = {"Authorization": f"Bearer {tokens.mint(settings, 'operator', scope=tokens.ADMIN)}"}

    def total() -> int:
        counted: int = httpx.get(f"{running.url}/api/sse/status", headers=headers).json()["total_connections"]
        return counted

    with httpx.stream("GET", f"{running.url}{PATH}", headers=headers) as stream:
        assert stream.status_code == 200
        wait_for("count of the one stream that is open", lambda: total() == 1)
    wait_for("count of none", lambda: total() == 0)


def test_the_keepalive_timeout_sets_the_heartbeat_interval(running: Copy) -> None:
    headers = {"Authorization": f"Bearer {running.token()}"}
    heartbeats = 0
    with httpx.stream("GET", running.url + PATH, headers=headers, timeout=10) as stream:
        for line in stream.iter_lines():
            if line.startswith("data:") and json.loads(line[5:]) == {"type": "heartbeat"}:
                heartbeats += 1
            if heartbeats == 3:
                break
    assert heartbeats == 3


def test_a_second_copy_needs_a_data_directory_of_its_own(running: Copy) -> None:
    command = [sys.executable, "-m", "shirase", "up", "--demo", "--port", str(free_row(5)[0])]
    answer = subprocess.run(
        [*command, "--data-dir", str(running.data_dir)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )

    assert answer.returncode == 1
    assert answer.stderr == f"shirase: {running.data_dir} is in use by process {running.process.pid}\n"
    assert running.opens()


@pytest.mark.parametrize("offset", [0, 1, 4])
def test_a_taken_port_is_named(running: Copy, tmp_path: Path, offset: int) -> None:
    with copy_of(tmp_path, "--demo", port=running.port - offset) as copy:
        code, line = copy.refusal()

    assert code == 1
    assert "cannot be used: Address already in use; choose another --port" in line
    assert running.opens()


def test_up_without_keys_names_the_missing_setting(tmp_path: Path) -> None:
    with copy_of(tmp_path) as copy:
        assert copy.refusal() == (2, "shirase: PUSHPIN_SIG_KEY: is not set\n")
        assert not read_settings(copy.data_dir)


def test_a_demo_is_for_this_machine_alone(tmp_path: Path) -> None:
    with copy_of(tmp_path, "--demo", "--host", "0.0.0.0") as copy:  # noqa: S104 - it is refused
        assert copy.refusal() == (
            1,
            "shirase: --demo signs a token for anyone who asks: it listens on loopback only\n",
        )


def test_a_missing_pushpin_is_reported_with_the_fix(tmp_path: Path) -> None:
    with copy_of(tmp_path, "--demo", env={"PATH": str(tmp_path)}) as copy:
        code, line = copy.refusal()

    assert code == 1
    assert line.startswith("shirase: Pushpin is not installed: `make up` installs it")


def test_an_unreachable_database_is_reported(tmp_path: Path) -> None:
    unreachable = "postgresql://user:secret@127.0.0.1:1/nothing"
    with copy_of(tmp_path, "--demo", env={"DATABASE_URL": unreachable}) as copy:
        code, line = copy.refusal()

    assert code == 1
    assert line.startswith("shirase: the database does not answer")
    assert "secret" not in line


def listening(copy: Copy) -> set[tuple[bool, int]]:
    """Return what its processes listen on, from the kernel: whether on loopback only, and the port."""
    links = [link for pid in [copy.process.pid, *copy.left()] for link in Path(f"/proc/{pid}/fd").iterdir()]
    sockets = set()
    for link in links:
        with suppress(OSError):
            sockets.add(str(link.readlink()))
    result = set()
    for table, loopback in (("tcp", ("0100007F",)), ("tcp6", ("00000000000000000000000001000000",))):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            address, _, port = fields[1].partition(":")
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in sockets:
                result.add((address in loopback, int(port, 16)))
    return result


def test_by_default_nothing_is_open_but_the_client_port(running: Copy, tmp_path: Path) -> None:
    """On loopback by default; with another host, the client port and nothing else is open there."""
    default = listening(running)
    assert (True, running.port) in default
    assert all(on_loopback for on_loopback, _ in default)
    env = {"JWT_SECRET": "j" * 32, "PUSHPIN_SIG_KEY": "k" * 32}
    with copy_of(tmp_path, "--host", "0.0.0.0", env=env) as copy:  # noqa: S104 - the subject of the test
        copy.wait_ready()
        assert {port for on_loopback, port in listening(copy) if not on_loopback} == {copy.port}


def test_it_starts_where_tokens_are_signed_elsewhere(tmp_path: Path) -> None:
    """With only a public key nothing can sign: readiness needs no token, and commands report what they need."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    env = {"JWT_PUBLIC_KEY": public, "PUSHPIN_SIG_KEY": "k" * 32}
    with copy_of(tmp_path, env=env) as copy:
        copy.wait_ready()
        claims = {"sub": "svc", "exp": int(time.time()) + 60, "scope": tokens.WRITE}
        token = jwt.encode(claims, key, algorithm="EdDSA")
        assert copy.accepts(token)

        def shirase(*arguments: str) -> subprocess.CompletedProcess[str]:
            known = {"DATABASE_URL": "sqlite:////none.db", "GRIP_URL": "http://127.0.0.1:1", **env}
            environ = {**os.environ, **known, "SHIRASE_URL": copy.url, "PYTHONPATH": str(ROOT)}
            command = [sys.executable, "-m", "shirase", *arguments]
            return subprocess.run(
                command, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=BOUND, check=False
            )

        message = ("send", "--user", "aiko", "--type", "t", "--title", "T", "--message", "M")
        for unable in (shirase("token", "--user", "aiko"), shirase(*message)):
            assert (unable.returncode, unable.stderr) == (
                2,
                "shirase: JWT_SECRET: is not set, and nothing else can sign a token: have its issuer sign one\n",
            )
        assert json.loads(shirase(*message, "--token", token).stdout)["user_id"] == "aiko"
    with copy_of(tmp_path, "--demo", env=env) as copy:
        assert copy.refusal() == (
            1,
            "shirase: --demo signs tokens, which JWT_PUBLIC_KEY does not allow: leave it out, or --demo\n",
        )


def test_generated_keys_are_readable_by_their_user_alone(tmp_path: Path) -> None:
    with copy_of(tmp_path, "--demo") as first:
        first.wait_ready()
        file = first.data_dir / "shirase.env"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        keys = {name: read_settings(first.data_dir)[name] for name in KEYS}
        token = first.token()
    with copy_of(tmp_path, "--demo") as second:
        second.wait_ready()
        assert {name: read_settings(second.data_dir)[name] for name in KEYS} == keys
        assert len(set(keys.values())) == 2
        assert second.accepts(token)


def test_the_data_is_for_its_owner_alone_whatever_was_there(tmp_path: Path) -> None:
    """With an existing directory, a world-readable old database in it, and a permissive umask."""
    before = os.umask(0)
    try:
        (tmp_path / "data").mkdir(mode=0o755)
        for name in ("shirase.db", "shirase.db-wal"):
            (tmp_path / "data" / name).touch(0o644)
        with copy_of(tmp_path, "--demo") as copy:
            copy.wait_ready()
            open_to_others = {
                str(path.relative_to(copy.data_dir))
                for path in (copy.data_dir, *copy.data_dir.rglob("*"))
                if path.exists() and path.stat().st_mode & 0o077 and not path.is_socket()
            }
    finally:
        os.umask(before)
    assert open_to_others == set()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_up_leaves_no_process_running(running: Copy, tmp_path: Path, number: signal.Signals) -> None:
    with copy_of(tmp_path, "--demo") as copy:
        copy.wait_ready()
        assert copy.opens()
        assert all(copy.family(child) for child in CHILDREN)

        copy.process.send_signal(number)

        code = copy.process.wait(BOUND)
        if number == signal.SIGKILL:  # nobody is left to wait for them
            wait_for("end of the children", lambda: not copy.left())
        assert code == (-number if number == signal.SIGKILL else 0)
        assert not copy.left()
    assert running.opens(), "a copy beside it was ended too"


@pytest.mark.parametrize("child", CHILDREN)
def test_every_part_that_dies_is_restarted(running: Copy, child: str) -> None:
    for name in programs(running, child):
        kill(running, child, name)
        wait_for("new stream", running.opens)


def test_the_proxys_programs_have_no_secret_in_their_environment(running: Copy) -> None:
    for name, pid in programs(running, "pushpin").items():
        names = {entry.partition(b"=")[0] for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")}
        assert not names & {b"JWT_SECRET", b"PUSHPIN_SIG_KEY", b"DATABASE_URL", b"GRIP_URL"}, name


def test_a_stream_opened_without_gunicorn_waits_for_it(running: Copy) -> None:
    """A refused connect would only retry after some seconds."""
    lines = running.errors.count("gunicorn ended")
    os.kill(min(running.family("gunicorn")), signal.SIGKILL)
    wait_for("line about gunicorn", lambda: running.errors.count("gunicorn ended") > lines)
    assert running.opens(BOUND)


def kill(copy: Copy, child: str, name: str) -> None:
    """Kill a program with SIGKILL, and wait until another has replaced it."""
    lines = copy.errors.count(f"{child} ended")
    os.kill(programs(copy, child)[name], signal.SIGKILL)
    wait_for(f"line about {child}", lambda: copy.errors.count(f"{child} ended") > lines)
    wait_for(f"new {name}", lambda: name in programs(copy, child))
