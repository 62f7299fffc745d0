"""``shirase up`` as a process of its own, as an operator runs it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

import httpx

from shirase.access import tickets, tokens
from shirase.access.tokens import Identity
from shirase.run.data_directory import KEYS, read_settings
from shirase.run.node import run_directory
from shirase.run.processes import family
from shirase.run.readiness import TRY_TIMEOUT, stream_opens
from shirase.settings import Settings
from tests.support.stack import free_row

ROOT = Path(__file__).parents[2]
CHILDREN = ("pushpin", "gunicorn", "relay", "mail")
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
        self.data_dir, self.port = home / "data", port or free_row(6)[0]
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


def programs(copy: Copy, child: str) -> dict[str, int]:
    """Return the running programs of a family by name (for Python, the module), each with its oldest process."""
    result: dict[str, int] = {}
    for pid in sorted(copy.family(child), reverse=True):
        with suppress(OSError):  # ended meanwhile
            words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            result[words[2] if words[1:2] == ["-m"] else Path(words[0]).name] = pid
    return result


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


def kill(copy: Copy, child: str, name: str) -> None:
    """Kill a program with SIGKILL, and wait until another has replaced it."""
    lines = copy.errors.count(f"{child} ended")
    os.kill(programs(copy, child)[name], signal.SIGKILL)
    wait_for(f"line about {child}", lambda: copy.errors.count(f"{child} ended") > lines)
    wait_for(f"new {name}", lambda: name in programs(copy, child))
