"""A service on hosts of their own: two proxy nodes with their standbys, two API hosts, two relays, one PostgreSQL."""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

from shirase.run.processes import Child, gunicorn_command, relay_command
from shirase.store.migrate import migrate
from tests.partitions.network import Network
from tests.support.parts import Parts
from tests.support.postgres import OPTIONS, Cluster, cluster

NODES, APIS, RELAYS = (["node1", "node2"], ["api1", "api2"], ["relay1", "relay2"])
DATABASE = "database"
HOSTS = [*NODES, *APIS, *RELAYS, DATABASE]
HANDLERS = "handlers.internal"  # the name of both API hosts
WORKERS = 2
GRACE = 15.0  # seconds in which a part must stop
# As docs/operations.md advises for nodes.
SYSCTLS = {"tcp_syn_retries": "1", "tcp_retries2": "6"}
ENV = {
    "SSE_KEEPALIVE_TIMEOUT": "5",
    "SSE_MAX_CONNECTIONS_PER_USER": "1000",
    "PUBLISH_TIMEOUT": "1",
    "DATABASE_TIMEOUT": "3",  # shorter than some cuts, longer than others
    "LOG_LEVEL": "WARNING",
}


class Fleet(Parts):
    """Each process on its host."""

    def __init__(self, network: Network, database_url: str, data_dir: Path) -> None:
        at = {host: network.address(host) for host in HOSTS}
        self.urls = [f"http://{at[node]}:7999" for node in NODES]
        self.api_urls = [f"http://{at[api]}:8000" for api in APIS]
        settings_env = ENV | {
            "DATABASE_URL": database_url,
            "GRIP_URL": " ".join(f"http://{at[node]}:8001" for node in NODES),
            "PUSHPIN_STATS_URL": " ".join(f"tcp://{at[node]}:8002" for node in NODES),
            "PUSHPIN_SIG_KEY": "k" * 40,
            "JWT_SECRET": "j" * 40,
        }
        super().__init__(data_dir, settings_env)
        self._network = network
        self._parts: dict[str, Child] = {}
        for host in [*APIS, *RELAYS, *NODES]:
            metrics = data_dir / f"metrics-{host}"
            metrics.mkdir()
            self._parts[host] = self._child(host, self._command(host), PROMETHEUS_MULTIPROC_DIR=str(metrics))

    def __enter__(self) -> Self:
        try:
            for node in NODES:
                with self._network.inside(node):
                    for name, value in SYSCTLS.items():
                        Path(f"/proc/sys/net/ipv4/{name}").write_text(value)
            for child in self._children:
                self._start(child)
            self.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        for child in self._children:
            child.signal(signal.SIGTERM)  # a node ends its programs itself
        for child in self._children:
            child.stop(GRACE)

    def restart(self, host: str) -> None:
        """Stop the host's process as an operator does, and start it again."""
        self._parts[host].stop(GRACE)
        self._start(self._parts[host])

    @property
    def _children(self) -> list[Child]:
        return list(self._parts.values())

    def _start(self, child: Child) -> None:
        with self._network.inside(child.name):
            super()._start(child)

    def _command(self, host: str) -> list[str]:
        address = self._network.address(host)
        if host in APIS:
            return gunicorn_command(f"{address}:8000", WORKERS)
        if host in RELAYS:
            return relay_command()
        options = ["--origin", f"{HANDLERS}:8000", "--control-host", address, "--data-dir", str(self._data_dir / host)]
        return [sys.executable, "-m", "shirase", "proxy", *options]


@contextmanager
def postgres_on(network: Network) -> Iterator[Cluster]:
    """Run the server on its host; this process may connect to it too."""
    with ExitStack() as stack:
        with network.inside(DATABASE):
            running = stack.enter_context(cluster({**OPTIONS, "listen_addresses": "*"}))
            running.trust(f"{network.address(DATABASE)}/24")
        yield running


def migrated(network: Network, running: Cluster) -> str:
    """A new database; returns its address for all hosts."""
    with network.inside(DATABASE):
        url = running.create("partitions")
    url = url.replace("127.0.0.1", network.address(DATABASE))
    migrate(url)
    return url
