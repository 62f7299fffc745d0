"""A complete service on free ports for one test: real Pushpin nodes, gunicorn and relays, each killed separately."""

import os
import random
import re
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from shutil import rmtree
from typing import Self

from shirase.run.node import SLACK, ProxyConfig, installed_version, raise_file_limit, run_directory, write_configuration
from shirase.run.processes import Child, family, gunicorn_command, relay_command
from shirase.run.standby import Standby
from shirase.settings import ProxySettings
from tests.support.parts import READY_TIMEOUT, Parts

GRACE = 10.0
# Below the range of ephemeral ports, so that a stopped part keeps its port. Each pytest-xdist worker has its own share,
# so that no other takes a port between its choice and its use.
_WORKER = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0")[2:])
_SHARE = 12_000 // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
PORTS = range(20_000 + _WORKER * _SHARE, 20_000 + (_WORKER + 1) * _SHARE)


class Stack(Parts):
    """Pushpin nodes, gunicorn and relays around a migrated database."""

    def __init__(
        self,
        database_url: str,
        data_dir: Path,
        *,
        workers: int = 2,
        nodes: int = 1,
        relays: int = 1,
        pushpin_origin: str | None = None,
        env: Mapping[str, str] | None = None,
        mounts: Mapping[str, str] | None = None,
        inboxes: Sequence[str] = (),
        names: Sequence[str | None] = (),
        stats_ttl: int | None = None,
        node_host: str | None = None,
        relay: Sequence[str] = (),
    ) -> None:
        """Choose ports and write the configuration.

        Args:
            database_url: a migrated database.
            data_dir: used by this stack only.
            workers: the number of gunicorn workers.
            nodes: the number of Pushpin nodes.
            relays: the number of relays.
            pushpin_origin: HOST:PORT of a forwarder that Pushpin uses instead of gunicorn.
            env: further settings.
            mounts: path prefixes and the HOST:PORT of their application.
            inboxes: prefixes at which applications mounted the routes.
            node_host: a host whose every address is a node; they listen at 127.0.0.2, 127.0.0.3 and so on.
            stats_ttl: seconds in which a node repeats its statistics, if not those of the template.
            relay: the command of each relay, if not the usual one.
            names: of the nodes, if ``GRIP_URL`` in ``env`` has other addresses than their control ports'.
        """
        ports = free_row(1 + 4 * nodes)
        origin = f"127.0.0.1:{ports.pop(0)}"
        sig_key, jwt_secret = "k" * 32 + data_dir.name, "j" * 32 + data_dir.name
        proxied = pushpin_origin or origin
        rows, hosts = [ports[4 * node : 4 * node + 4] for node in range(nodes)], ["127.0.0.1"] * nodes
        if node_host:
            rows = [[row[0], *rows[0][1:]] for row in rows]
            hosts = [f"127.0.0.{2 + node}" for node in range(nodes)]
            by_name = {"GRIP_URL": f"dns+http://{node_host}:{rows[0][1]}"}
            env = by_name | {"PUSHPIN_STATS_URL": f"dns+tcp://{node_host}:{rows[0][2]}"} | dict(env or {})
        self._standbys = [
            Standby(proxied, ProxySettings.from_env({"PUSHPIN_SIG_KEY": sig_key, **(env or {})}), mounts, name)
            for name in names or [f"http://{host}:{row[1]}" for host, row in zip(hosts, rows, strict=True)]
        ]
        self.proxies = [
            ProxyConfig(
                origin=proxied,
                standby=self._standbys[node].address,
                sig_key=sig_key,
                run_dir=run_directory(data_dir, f"run-{node}"),
                client_port=rows[node][0],
                control_host=hosts[node],
                control_port=rows[node][1],  # and the next two, as with `shirase up`
                stats_port=rows[node][2],
                prometheus_port=rows[node][3],
                mounts=mounts or {},
                inboxes=inboxes,
            )
            for node in range(nodes)
        ]
        self.urls = [f"http://127.0.0.1:{proxy.client_port}" for proxy in self.proxies]
        self.origin_url = f"http://{origin}"
        self.control_urls = [f"http://127.0.0.1:{proxy.control_port}" for proxy in self.proxies]
        metrics = data_dir / "metrics"
        metrics.mkdir(parents=True, exist_ok=True)
        settings_env = {
            "PROMETHEUS_MULTIPROC_DIR": str(metrics.resolve()),
            "DATABASE_URL": database_url,
            "GRIP_URL": " ".join(self.control_urls),
            "PUSHPIN_STATS_URL": " ".join(proxy.stats_spec for proxy in self.proxies),
            "PUSHPIN_SIG_KEY": sig_key,
            "JWT_SECRET": jwt_secret,
            "SSE_MAX_CONNECTIONS_PER_USER": "1000",  # no limit, unless the test is about it
            **(env or {}),
        }
        super().__init__(data_dir, settings_env)
        self._running = ExitStack()
        version = installed_version()
        self._pushpins = [
            self._child(f"pushpin-{node}", write_configuration(proxy, version), SLACK)
            for node, proxy in enumerate(self.proxies)
        ]
        if stats_ttl:
            for proxy in self.proxies:
                file = proxy.run_dir / "pushpin.conf"
                file.write_text(
                    re.sub("stats_subscription_ttl=.*", f"stats_subscription_ttl={stats_ttl}", file.read_text())
                )
        self._workers = workers
        self._gunicorn = self._child("gunicorn", gunicorn_command(origin, workers))
        self._relays = [self._child(f"relay-{number}", list(relay) or relay_command()) for number in range(relays)]

    def __enter__(self) -> Self:
        """Start everything and wait until every node serves."""
        raise_file_limit()
        try:
            for standby in self._standbys:
                self._running.enter_context(standby)
            for node in range(len(self.proxies)):
                self.start_pushpin(node)
            self.start_gunicorn()
            for number in range(len(self._relays)):
                self.start_relay(number)
            self.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Stop everything, in any state."""
        with self._running as stopping:  # continues when one cannot be stopped
            for child in self._children:
                stopping.callback(child.kill)
        for proxy in self.proxies:  # outside of the data directory if that has a long path
            rmtree(proxy.run_dir, ignore_errors=True)

    def wait_ready(self, urls: Sequence[str] = ()) -> None:
        """Wait until a stream can be opened through every node, and all workers have started.

        One worker suffices to answer, and gunicorn starts them one after the other, with pauses.
        """
        super().wait_ready(urls)
        self._wait_for_workers()

    def start_pushpin(self, node: int = 0) -> None:
        """Start a node, without waiting until it serves."""
        self._start(self._pushpins[node])

    def kill_pushpin(self, node: int = 0) -> None:
        """Kill all programs of a node with SIGKILL."""
        self._pushpins[node].kill()

    def pushpin_programs(self, node: int = 0) -> dict[str, int]:
        """The running programs of a node, with their process ids."""
        result = {}
        for pid in family(f"{self._data_dir}/{self._pushpins[node].name}"):
            with suppress(OSError):  # ended meanwhile
                result[Path(f"/proc/{pid}/comm").read_text().strip()] = pid
        return result

    def start_gunicorn(self) -> None:
        """Start the handlers."""
        self._start(self._gunicorn)

    def stop_gunicorn(self) -> None:
        """Stop the handlers as an operator would; nothing then listens at the origin."""
        self._gunicorn.stop(GRACE)

    def kill_gunicorn(self) -> None:
        """Kill the master and all workers with SIGKILL."""
        self._gunicorn.kill()

    def reload_gunicorn(self) -> None:
        """Replace every worker, and wait until the old ones have ended."""
        self._wait_for_workers()  # the signal would kill a master that is not ready
        old = self.worker_pids()
        self._gunicorn.signal(signal.SIGHUP)
        self._wait_for_workers(old)

    def kill_workers(self) -> None:
        """Kill every worker with SIGKILL, and wait until new ones have started."""
        old = self.worker_pids()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        self._wait_for_workers(old)

    @property
    def gunicorn_pid(self) -> int | None:
        """The process id of the master, if it runs."""
        return self._gunicorn.pid

    def worker_pids(self) -> set[int]:
        """The process ids of the current workers."""
        pid = self._gunicorn.pid
        return {int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}

    def start_relay(self, number: int = 0) -> None:
        """Start a relay."""
        self._start(self._relays[number])

    def kill_relay(self, number: int = 0) -> None:
        """Kill a relay with SIGKILL."""
        self._relays[number].kill()

    @property
    def _children(self) -> list[Child]:
        return [*self._pushpins, self._gunicorn, *self._relays]

    def _wait_for_workers(self, old: AbstractSet[int] = frozenset()) -> None:
        """Wait until all workers run, none of them old."""
        deadline = time.monotonic() + READY_TIMEOUT
        while old & (now := self.worker_pids()) or len(now) < self._workers:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self._workers} workers expected, running: {now}, before: {old}\n{self.logs()}")
            time.sleep(0.05)


def free_row(count: int) -> list[int]:
    """Find consecutive free ports."""
    for first in random.sample(PORTS[:-count], k=100):
        with ExitStack() as probes:
            try:
                for port in range(first, first + count):
                    probe = probes.enter_context(closing(socket.socket()))
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return list(range(first, first + count))
    raise RuntimeError(f"no {count} consecutive free ports")


def free_ports(count: int) -> list[int]:
    """Find different free ports."""
    result: list[int] = []
    for port in random.sample(PORTS, k=len(PORTS)):
        with closing(socket.socket()) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        result.append(port)
        if len(result) == count:
            return result
    raise RuntimeError(f"no {count} free ports")
