"""The service under test: some nodes, two relays, handlers and a database, with forwarders between them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import make_url

from shirase.store.migrate import migrate
from tests.support.browser_like import Browsers, Device
from tests.support.forwarder import Forwarder
from tests.support.postgres import Cluster, cluster
from tests.support.service import Service, service
from tests.support.stack import Stack

DEVICES = 2  # of each user from the beginning, at different nodes
STATS_TTL = 3  # seconds; short, so that events are posted to single nodes soon after each fault
RELAYS = 2
WORKERS = 3
ENV = {"SSE_KEEPALIVE_TIMEOUT": "5", "SSE_QUEUE_SIZE": "20", "PUBLISH_TIMEOUT": "1", "LOG_LEVEL": "WARNING"}


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A running service, and the devices that listen to it."""

    service: Service
    browsers: Browsers
    users: list[str]
    devices: dict[str, list[Device]]

    @property
    def stack(self) -> Stack:
        return self.service.stack

    @property
    def urls(self) -> list[str]:
        """Where producers send their requests."""
        return self.stack.urls

    def open(self, user: str, node: int) -> Device:
        """Open another device of a user."""
        device = self.browsers.open(self.stack.urls[node], self.stack.token(user), renew=True)
        self.devices[user].append(device)
        return device

    def all_devices(self) -> list[Device]:
        return [device for devices in self.devices.values() for device in devices]

    def open_all(self, nodes: int) -> None:
        """Open two devices per user, at different nodes, and wait for them."""
        for number, user in enumerate(self.users):
            for place in range(number, number + DEVICES):
                self.open(user, place % nodes)
        for device in self.all_devices():
            device.wait(lambda seen: seen.named("connected"))


@dataclass(frozen=True, kw_only=True)
class Scene(Watched):
    """Everything that a fault may break."""

    controls: list[Forwarder]  # in front of each node's control port
    origin: Forwarder  # between the nodes and the handlers
    database_line: Forwarder | None  # in front of PostgreSQL
    postgres: Cluster | None
    sqlite: Path | None


@contextmanager
def scene(kind: str, data_dir: Path, users: int, nodes: int) -> Iterator[Scene]:
    """Start everything, and open two devices per user, at different nodes."""
    with ExitStack() as running:
        browsers = running.enter_context(Browsers())
        postgres = running.enter_context(cluster() if kind == "postgresql" else nullcontext())
        line = running.enter_context(forwarder(browsers, postgres.port)) if postgres else None
        sqlite = None if postgres else data_dir / "shirase.db"
        url = postgres.create("chaos") if postgres else f"sqlite:///{sqlite}"
        migrate(url)
        if line:
            url = make_url(url).set(port=line.port).render_as_string(hide_password=False)
        controls = [running.enter_context(forwarder(browsers)) for _ in range(nodes)]
        origin = running.enter_context(forwarder(browsers))
        stack = Stack(
            url,
            data_dir,
            workers=WORKERS,
            nodes=nodes,
            relays=RELAYS,
            pushpin_origin=origin.address,
            env=ENV | {"GRIP_URL": " ".join(control.url for control in controls)},
            names=[control.url for control in controls],
            stats_ttl=STATS_TTL,
        )
        origin.target_port = int(stack.origin_url.rpartition(":")[2])
        for control, proxy in zip(controls, stack.proxies, strict=True):
            control.target_port = proxy.control_port
        running.enter_context(stack)
        of_stack = running.enter_context(service(stack, browsers))
        names = users_named(users)
        made = Scene(
            service=of_stack,
            browsers=browsers,
            users=names,
            devices={user: [] for user in names},
            controls=controls,
            origin=origin,
            database_line=line,
            postgres=postgres,
            sqlite=sqlite,
        )
        made.open_all(nodes)
        yield made


def users_named(count: int) -> list[str]:
    return [f"user {number}; 知" for number in range(count)]


@contextmanager
def forwarder(browsers: Browsers, target_port: int | None = None) -> Iterator[Forwarder]:
    made = Forwarder(browsers, target_port)
    try:
        yield made
    finally:
        made.close()
