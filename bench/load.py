"""The load client ``load.c``: compiled once, run as a process, controlled by lines of text."""

import atexit
import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from shutil import rmtree
from types import MappingProxyType
from typing import Any

SOURCE = Path(__file__).with_name("load.c")
STAMP = "~0000000000000000000~"  # replaced by the time of sending
PATIENCE = 300  # seconds until a hanging run is aborted


class Lost(Exception):
    """Something accepted did not arrive, or arrived twice: the run has no figures."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The results of a run of requests."""

    finished: int
    failed: int  # without an answer
    seconds: float
    statuses: dict[str, int]
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu: float  # seconds of processor time used by the client itself

    def all_as(self, status: int) -> "Answered":
        """Return itself if every request was answered with this status.

        Raises:
            Lost: otherwise.
        """
        if self.failed or self.statuses != {str(status): self.finished}:
            raise Lost(f"answers {self.statuses}, and {self.failed} without one, where all should be {status}")
        return self


@dataclass(frozen=True, slots=True)
class Report:
    """What a client with many streams has received: first how they opened, then how events arrived."""

    open: int
    failed: int
    dropped: int
    seconds: float  # to open them
    stamps: int
    least: int  # stamps of the stream with the fewest
    greatest: int
    first: int  # nanoseconds of the monotonic clock
    last: int
    samples: int
    p50_ms: float
    p99_ms: float
    max_ms: float
    cpu: float


class Streams:
    """Open streams; made by ``streams``."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        """Wait until all are open, or have failed."""
        self._process = process
        self.opened = self._read()

    def report(self) -> Report:
        """Read the current state."""
        assert self._process.stdin is not None
        self._process.stdin.write("report\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> Report:
        assert self._process.stdout is not None
        return Report(**json.loads(self._process.stdout.readline()))


def send(
    address: str,
    requests: Iterable[bytes],
    *,
    clients: int = 1,
    seconds: float = 0,
    count: int = 0,
    pause_ms: float = 0,
) -> Answered:
    """Send requests with this many clients, each waiting for its answers, for a time or a count."""
    with _file(requests) as path:
        words = [_program(), "requests", address, path, str(clients), str(seconds), str(count), str(pause_ms)]
        done = subprocess.run(words, capture_output=True, check=True, timeout=PATIENCE)
    answer: dict[str, Any] = json.loads(done.stdout)
    del answer["samples"]
    return Answered(**answer)


@contextmanager
def streams(
    address: str, requests: Iterable[bytes], *, in_flight: int = 32, events: int = 0, per_second: float = 0
) -> Iterator[Streams]:
    """Hold streams, one per request; each counts as open once this many events have arrived."""
    with _file(requests) as path:
        words = [_program(), "streams", address, path, str(in_flight), str(events), str(per_second)]
        with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                yield Streams(process)
            finally:
                process.kill()


def request(
    method: str, path: str, token: str, body: bytes = b"", headers: Mapping[str, str] = MappingProxyType({})
) -> bytes:
    """Build an HTTP request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", f"Authorization: Bearer {token}"]
    if body:
        headers = {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


@contextmanager
def _file(requests: Iterable[bytes]) -> Iterator[str]:
    with tempfile.NamedTemporaryFile(prefix="bench-") as file:
        file.writelines(b"%d\n%b" % (len(item), item) for item in requests)
        file.flush()
        yield file.name


@cache
def _program() -> str:
    directory = Path(tempfile.mkdtemp(prefix="bench-load-"))
    atexit.register(rmtree, directory, ignore_errors=True)
    program = str(directory / "load")
    subprocess.run(["cc", "-O2", "-Wall", "-Wextra", "-o", program, str(SOURCE)], check=True)
    return program
