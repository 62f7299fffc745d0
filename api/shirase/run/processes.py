"""Child processes, each started and ended together with its own descendants."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

MARK = "SHIRASE_FAMILY"  # in the environment of a child, and so of its descendants
POLL = 0.02  # seconds between two checks of a process that is ending
KILL_TIMEOUT = 5.0  # seconds until a killed process must be gone
PR_SET_PDEATHSIG, PR_SET_TIMERSLACK = 1, 29  # linux/prctl.h

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


class Child:
    """A process and its descendants. It receives SIGTERM when its parent dies, for whatever reason.

    Pushpin gives each of its programs a process group of its own and leaves them running if it is killed. So no group
    has them all, but the mark in their environment does.
    """

    def __init__(
        self,
        name: str,
        command: list[str],
        environ: Mapping[str, str],
        mark: str,
        files: Sequence[int] = (),
        *,
        slack: float = 0.0,
    ) -> None:
        """Prepare to run the command.

        Args:
            name: its name in the logs.
            command: the program and its arguments.
            environ: its whole environment.
            mark: unique to this child on the machine.
            files: descriptors that it inherits under the same numbers.
            slack: seconds by which its timers may be late, so that many fire at once; Linux only.
        """
        self.name = name
        self._command = command
        self._environ = {**environ, MARK: mark}
        self._mark = mark
        self._files = tuple(files)
        self._slack = slack
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The first process, unless it is known to have ended."""
        return self._process.pid if self._process and self._process.returncode is None else None

    def start(self, output: IO[bytes] | None = None) -> None:
        """Start it. Its output goes to the file, or else to our stderr, because stdout is the caller's.

        Call it in the main thread: the kernel regards the calling thread as the parent.
        """
        self._process = subprocess.Popen(  # noqa: S603 - the commands are our own
            self._command,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=output or sys.stderr.fileno(),
            stderr=output or sys.stderr.fileno(),
            pass_fds=self._files,
            start_new_session=True,  # a Ctrl-C in the terminal is for the parent, which stops them in order
            preexec_fn=partial(_prepare, os.getpid(), int(self._slack * 1e9)),  # noqa: PLW1509 - it takes no lock
        )

    def exit_code(self) -> int | None:
        """The exit code, negative for a signal; ``None`` while it runs or if it was never started."""
        return self._process.poll() if self._process else None

    def signal_program(self, name: str, number: signal.Signals) -> bool:
        """Signal a program of the family by its name, if it handles the signal; returns whether it was sent."""
        for pid in family(self._mark):
            with suppress(OSError):  # gone meanwhile
                if name in Path(f"/proc/{pid}/comm").read_text() and _handles(pid, number):
                    os.kill(pid, number)
                    return True
        return False

    def signal(self, number: signal.Signals) -> None:
        """Signal the first process, if it still runs."""
        if self.pid:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def stop(self, grace: float) -> None:
        """Send SIGTERM, wait at most ``grace`` seconds, and kill what is left of the family."""
        self.signal(signal.SIGTERM)
        self._wait(grace)
        self.kill()

    def kill(self) -> None:
        """Kill the whole family, including one left behind by an earlier run."""
        self.signal(signal.SIGKILL)
        deadline = time.monotonic() + KILL_TIMEOUT
        while (pids := family(self._mark)) and time.monotonic() < deadline:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            self._wait(POLL)
            time.sleep(POLL)
        self._wait(KILL_TIMEOUT)

    def _wait(self, seconds: float) -> None:
        if self._process:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)


def _handles(pid: int, number: signal.Signals) -> bool:
    """Whether the process handles the signal (Linux)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, mask = line.partition(":")
        if name == "SigCgt":
            return bool(int(mask, 16) >> (number - 1) & 1)
    return False


def family(mark: str) -> list[int]:
    """The running processes with this mark, except this process. Without /proc there are none."""
    entry = f"{MARK}={mark}".encode()
    pids = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # gone meanwhile, or another user's
            if entry in path.read_bytes().split(b"\0"):
                pids.append(int(path.parent.name))
    return [pid for pid in pids if pid != os.getpid()]


def reap_orphans(own: set[int]) -> None:
    """As process 1 of a container, reap the processes that have no other parent."""
    while os.getpid() == 1 and (ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)):
        if ended.si_pid in own:
            return  # its owner waits for it
        os.waitpid(ended.si_pid, 0)


def gunicorn_command(bind: str, workers: int) -> list[str]:
    """The command that runs the handlers, at HOST:PORT or on an inherited socket, ``fd://NUMBER``."""
    options = ["-c", "python:shirase.run.gunicorn_config", "--bind", bind, "--workers", str(workers)]
    return [sys.executable, "-m", "gunicorn", *options, "shirase.wsgi:app"]


def relay_command() -> list[str]:
    """The command that runs the relay."""
    return [sys.executable, "-m", "shirase", "relay"]


def _prepare(parent: int, slack: int) -> None:
    """In the child: end with the parent, and set the timer slack."""
    if _LIBC is None:
        return
    _LIBC.prctl(PR_SET_TIMERSLACK, ctypes.c_ulong(slack))  # 0 restores the default
    _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:  # the parent died before the signal was set
        os._exit(1)
