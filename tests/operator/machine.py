"""An empty Debian machine with systemd as process 1, in namespaces of its own."""

import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import pip

ROOT = Path(__file__).parents[2]
BOOT = Path(__file__).with_name("boot")
BOOTED = 60.0  # seconds
GROUPS = (Path("/sys/fs/cgroup/shirase-operator"), Path("/sys/fs/cgroup/unified/shirase-operator"))
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
ONLINE = ("apt-get", "pip ")  # what needs the network of the host
# Debian has these: a mirror without one is incomplete. Any other name may be a mistake of the page.
PACKAGES = frozenset({"certbot", "curl", "nginx", "postgresql", "pushpin", "python3-venv"})
_MISSING = re.compile(
    r"^E: (?:Unable to locate package |Package ')([a-z0-9.+-]+)(?:$|' has no installation candidate)", re.MULTILINE
)
# deploy/requirements.txt was made by a registry that had each of its versions.
_NO_DISTRIBUTION = re.compile(r"^ERROR: No matching distribution found for (\S+==\S+)", re.MULTILINE)


class NoMachine(Exception):
    """There is no machine to be had here."""


class Machine:
    """Booted by ``with``, gone with its files afterwards. Its ports are those of this process's network namespace."""

    def __init__(self, host_network: Path) -> None:
        """Make or find the empty root.

        Args:
            host_network: the network namespace that reaches the registries of packages.

        Raises:
            NoMachine: if there can be none.
        """
        made = subprocess.run([ROOT / ".ci/root", "12"], capture_output=True, text=True, check=False)
        if made.returncode:
            raise NoMachine(made.stderr.strip().splitlines()[-1])
        self._root = Path(made.stdout.strip())
        self._host_network = host_network
        self._home = Path(tempfile.mkdtemp(prefix="operator-", dir=self._root.parent))
        self._log = (self._home / "log").open("wb")

    def __enter__(self) -> Self:
        """Boot it."""
        self._process = subprocess.Popen(
            [BOOT, self._root, self._home], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + BOOTED
        while self._state() not in ("running", "degraded"):
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = (self._home / "log").read_text().strip().splitlines()
                self._remove()
                raise NoMachine(f"skipped, systemd does not start here: {' '.join(log[-2:]) or 'it logged nothing'}")
            time.sleep(0.2)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End its process 1, and so all of it."""
        self._remove()

    def run(self, commands: str, *, check: bool = True) -> str:
        """The output of commands that root types in it.

        Raises:
            NoMachine: if a registry lacks a package.
            RuntimeError: if they fail for any other reason, with their output.
        """
        online = any(name in commands for name in ONLINE)
        ended = subprocess.run(
            [*self._enter(online=online), "/bin/bash", "-euo", "pipefail", "-c", commands],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            env={**(_of_registries() if online else {}), "PATH": PATH, "HOME": "/root", "LANG": "C.UTF-8"},
        )
        if check and ended.returncode:
            if package := lacking(ended.stdout):
                raise NoMachine(f"skipped, the registry here has no {package}")
            raise RuntimeError(f"exit code {ended.returncode}:\n{commands}\n{ended.stdout[-4000:]}")
        return ended.stdout

    def copy_tree(self, to: str) -> None:
        """Copy the repository to a directory of the machine."""
        # The overlay is mounted in the machine's namespace alone, so the copy passes through it.
        with tempfile.TemporaryDirectory(prefix="shirase-tree-") as name:
            subprocess.run([ROOT / ".ci/tree", name], check=True)
            packed = subprocess.Popen(["tar", "-C", name, "-c", "."], stdout=subprocess.PIPE)
            unpack = f"mkdir -p {to} && tar -C {to} --no-same-owner -x"
            subprocess.run([*self._enter(), "/bin/sh", "-c", unpack], stdin=packed.stdout, check=True)
            packed.wait()

    def require_registries(self) -> None:
        """Check that packages of Debian and of Python can be had from inside; this machine's pip asks for the latter.

        Raises:
            NoMachine: if they cannot.
        """
        packed = subprocess.Popen(["tar", "-C", Path(pip.__file__).parents[1], "-c", "pip"], stdout=subprocess.PIPE)
        unpack = "mkdir -p /tmp/registries && tar -C /tmp/registries --no-same-owner -x"
        subprocess.run([*self._enter(), "/bin/sh", "-c", unpack], stdin=packed.stdout, check=True)
        packed.wait()
        try:
            self.run("apt-get update -q -o APT::Update::Error-Mode=any")
            self.run("PYTHONPATH=/tmp/registries python3 -m pip download -q --no-deps -d /tmp/registries wheel")
        except RuntimeError as exc:
            raise NoMachine(f"skipped, an empty machine reaches no packages here: {str(exc).splitlines()[-1]}") from exc
        self.run("rm -rf /tmp/registries")

    def _enter(self, *, online: bool = False) -> list[str]:
        init = self._init()
        network = [f"--net={self._host_network}"] if online else []
        return [
            "nsenter",
            f"--target={init}",
            "--mount",
            "--pid",
            "--uts",
            "--ipc",
            "--cgroup",
            *network,
            "--root",
            "--wd",
        ]

    def _init(self) -> int:
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return int(children[0])

    def _state(self) -> str:
        with suppress(RuntimeError, OSError, IndexError):
            return self.run("systemctl is-system-running || true").strip()
        return ""

    def _remove(self) -> None:
        self._process.kill()  # and with it, by --kill-child, process 1 and everything in its namespace
        self._process.wait()
        self._log.close()
        shutil.rmtree(self._home, ignore_errors=True)
        for group in (path for place in GROUPS for path in sorted(place.rglob("*"), reverse=True) if path.is_dir()):
            with suppress(OSError):
                group.rmdir()
        for place in GROUPS:
            with suppress(OSError):
                place.rmdir()


def lacking(output: str) -> str:
    """The package that a registry lacks, by the output of apt-get or pip; empty if the commands are at fault."""
    if match := _MISSING.search(output):
        return match[1] if match[1] in PACKAGES else ""
    if "require a different python version" in output:
        return ""
    return match[1] if (match := _NO_DISTRIBUTION.search(output)) else ""


def _of_registries() -> dict[str, str]:
    """How this machine reaches the registries of packages. Its own folders of wheels are not in the other's root."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PIP_", "SSL_CERT_FILE")) or name.lower().endswith("_proxy")
        if name != "PIP_FIND_LINKS"
    }


@contextmanager
def machine() -> Iterator[Machine]:
    """A booted machine, for a process that has a network namespace of its own.

    Raises:
        NoMachine: if there can be none.
    """
    with Machine(Path(f"/proc/{os.getppid()}/ns/net")) as booted:
        yield booted
