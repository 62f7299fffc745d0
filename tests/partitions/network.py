"""Hosts in network namespaces of their own on one bridge, and the links between them: cut, one-way, slow.

It needs root and iproute2 alone. Each host has a fixed entry for the hardware address of every other. A link is cut in
one direction by an entry with an address that no host has: packets vanish, and no sender gets an error.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

CLONE_NEWNET = 0x40000000  # of Linux
PREFIX = "10.77.0."
NOBODY = "02:00:00:00:ff:ff"
OURS = "browsers"  # the namespace of this process, in which the bridge is
DELAY = ("netem", "delay", "150ms", "100ms", "loss", "3%")
RATE = ("tbf", "rate", "400kbit", "burst", "4kb", "latency", "1s")


def why_not() -> str | None:
    """Why this process cannot have namespaces, in one line; ``None`` if it can."""
    if os.geteuid():
        return "only root may make network namespaces"
    probe = "ip link add probe0 type bridge && ip link add probe1 type veth peer name probe2"
    error = _run("unshare", "--net", "--mount", "sh", "-c", probe)
    return f"no network namespaces with a bridge here: {error.splitlines()[-1]}" if error else None


class Network:
    """A context manager, in a process whose own network namespace has nothing else in it."""

    def __init__(self, hosts: Iterable[str], names: Mapping[str, Iterable[str]], directory: Path) -> None:
        """Prepare.

        Args:
            hosts: their names; this process is one more.
            names: by host name, the hosts whose addresses it has, for the system's resolver.
            directory: for the file with these names.
        """
        self._numbers = {name: number for number, name in enumerate([OURS, *hosts], 10)}
        self._holders: dict[str, int] = {}  # process ids, by host
        self._names, self._directory = names, directory
        self._running = ExitStack()
        self.slows_by: tuple[str, ...] = DELAY

    def __enter__(self) -> Self:
        with ExitStack() as entered:
            entered.callback(self._running.close)
            self._name_hosts()
            _ip("link set lo up", f"link add br0 address {self._hardware(OURS)} type bridge", "link set br0 up")
            _ip(f"address add {self.address(OURS)}/24 dev br0")
            for host in self._numbers:
                if host != OURS:
                    self._add(host)
            for host in self._numbers:
                others = [other for other in self._numbers if other != host]
                self._set_neighbours(
                    host, [f"{self.address(other)} lladdr {self._hardware(other)}" for other in others]
                )
            entered.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def address(self, host: str) -> str:
        return f"{PREFIX}{self._numbers[host]}"

    @contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """Have this thread, and the processes that it starts, be on the host."""
        libc = ctypes.CDLL(None, use_errno=True)
        place = f"/proc/{self._holders[host]}/ns/net" if host != OURS else "/proc/thread-self/ns/net"
        before, there = (os.open(path, os.O_RDONLY) for path in ("/proc/thread-self/ns/net", place))
        try:
            _enter(libc, there)
            yield
        finally:
            _enter(libc, before)
            os.close(there)
            os.close(before)

    def cut(self, source: str, target: str) -> None:
        """Lose every packet from one host to the other, until ``heal``."""
        self._set_neighbours(source, [f"{self.address(target)} lladdr {NOBODY}"])

    def heal(self, source: str, target: str) -> None:
        self._set_neighbours(source, [f"{self.address(target)} lladdr {self._hardware(target)}"])

    def slow(self, host: str) -> None:
        """Delay and lose some of what the host sends; where the kernel lacks netem, let it send little a second."""
        with self.inside(host):
            if _run("tc", "qdisc", "replace", "dev", "eth0", "root", *self.slows_by):
                self.slows_by = RATE
                _check(_run("tc", "qdisc", "replace", "dev", "eth0", "root", *RATE))

    def quicken(self, host: str) -> None:
        with self.inside(host):
            _check(_run("tc", "qdisc", "delete", "dev", "eth0", "root"))

    def _add(self, host: str) -> None:
        command = ["unshare", "--net", "sh", "-c", "ip link set lo up && echo && exec cat"]  # it ends with our pipe
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._running.enter_context(holder)
        assert holder.stdout
        assert holder.stdout.readline()
        self._holders[host] = holder.pid
        number = self._numbers[host]
        peer = f"peer name eth0 address {self._hardware(host)} netns {holder.pid}"
        _ip(f"link add port{number} type veth {peer}", f"link set port{number} master br0", f"link set port{number} up")
        with self.inside(host):
            _ip(f"address add {self.address(host)}/24 dev eth0", "link set eth0 up")

    def _hardware(self, host: str) -> str:
        return f"02:00:00:00:00:{self._numbers[host]:02x}"

    def _set_neighbours(self, host: str, neighbours: Iterable[str]) -> None:
        device = "br0" if host == OURS else "eth0"
        with self.inside(host):
            _ip(*(f"neighbour replace {line} dev {device} nud permanent" for line in neighbours))

    def _name_hosts(self) -> None:
        """Give this process, which has a mount namespace of its own, and its children an /etc/hosts of their own."""
        lines = ["127.0.0.1 localhost"]
        lines += [f"{self.address(host)} {name}" for name, hosts in self._names.items() for host in hosts]
        hosts = self._directory / "hosts"
        hosts.write_text("".join(f"{line}\n" for line in lines))
        _check(_run("mount", "--bind", str(hosts), "/etc/hosts"))


def _enter(libc: ctypes.CDLL, namespace: int) -> None:
    if libc.setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _ip(*commands: str) -> None:
    subprocess.run(["ip", "-batch", "-"], input="\n".join(commands), text=True, check=True)


def _run(*command: str) -> str:
    """Run a command; returns its error, which is empty if there is none."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stderr.strip() or "failed" if done.returncode else ""


def _check(error: str) -> None:
    if error:
        raise RuntimeError(error)
