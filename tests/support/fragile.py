"""Complete services: one shared by tests that break nothing, and one per test that breaks parts of it."""

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import MakeDatabase
from tests.support.browser_like import Browsers, Device
from tests.support.forwarder import Forwarder
from tests.support.loop_thread import wait_until
from tests.support.service import Service, service
from tests.support.stack import Stack

HEARTBEAT = 1  # seconds at most: Pushpin subtracts up to one
# Of each stream in a recovery: the standby asks about several at once, or about one.
RECOVERED = re.compile(rb"[ ,\"]c-[0-9a-f-]+; last-id=")
NEXT = re.compile(rb"GET /api/sse/next |POST /api/sse/next/holds ")
SETTLED = 10.0
PAGE = 100  # missed events in one response


on_both = pytest.mark.parametrize("fragile", ["sqlite", "postgresql"], indirect=True)


@dataclass(frozen=True)
class Fragile:
    """A service with forwarders between its parts."""

    service: Service
    control: Forwarder  # between the handlers, the relay and Pushpin's control port
    origin: Forwarder  # between Pushpin and the handlers

    @property
    def stack(self) -> Stack:
        return self.service.stack

    def open_settled(self, users: list[str]) -> list[Device]:
        """Open a stream for each user, and wait until Pushpin has read each again, as it does within the first second.

        Later recoveries are then caused by the test alone.
        """
        expected = self._read_again() + len(users)
        devices = self.service.open_many(users)
        wait_until(lambda: self._read_again() >= expected, SETTLED, "Pushpin did not read the streams again")
        return devices

    def _read_again(self) -> int:
        return sum(_streams_in(request) for request in self.origin.answered if NEXT.match(request))


def _streams_in(request: bytes) -> int:
    """Count the streams of a recovery; that of many has the first one in its header too."""
    head, _, body = request.partition(b"\r\n\r\n")
    return len(RECOVERED.findall(body if request.startswith(b"POST ") else head))


@pytest.fixture(scope="session")
def browsers() -> Iterator[Browsers]:
    with Browsers() as running:
        yield running


@pytest.fixture(scope="session", name="service", params=["sqlite", "postgresql"])
def shared_service(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    browsers: Browsers,
    make_database: MakeDatabase,
) -> Iterator[Service]:
    """Start a service with four workers for tests that break nothing; each test uses its own users."""
    data_dir = tmp_path_factory.mktemp("shared")
    env = {"SSE_KEEPALIVE_TIMEOUT": str(HEARTBEAT), "SSE_QUEUE_SIZE": str(PAGE)}
    with (
        make_database(request.param) as url,
        Stack(url, data_dir, workers=4, env=env) as stack,
        service(stack, browsers) as running,
    ):
        yield running


@pytest.fixture
def fragile(
    request: pytest.FixtureRequest, make_database: MakeDatabase, tmp_path: Path, browsers: Browsers
) -> Iterator[Fragile]:
    """Start a service whose parts a test may kill and cut off: on SQLite, or with ``on_both`` on each database."""
    kind = getattr(request, "param", "sqlite")
    with make_database(kind) as url, fragile_service(url, tmp_path, browsers) as running:
        yield running


@contextmanager
def fragile_service(
    database_url: str,
    data_dir: Path,
    browsers: Browsers,
    env: Mapping[str, str] | None = None,
    configure: Callable[[Path], None] = lambda _: None,
    relays: int = 1,
) -> Iterator[Fragile]:
    """Start a service with forwarders between its parts; ``configure`` may change Pushpin's configuration file."""
    origin, control = Forwarder(browsers), Forwarder(browsers)
    settings = {"GRIP_URL": control.url, "PUBLISH_TIMEOUT": "1"}
    env = settings | dict(env or {})
    stack = Stack(database_url, data_dir, relays=relays, pushpin_origin=origin.address, env=env)
    origin.target_port = int(stack.origin_url.rpartition(":")[2])
    control.target_port = stack.proxies[0].control_port
    configure(stack.proxies[0].run_dir / "pushpin.conf")
    try:
        with stack, service(stack, browsers) as running:
            yield Fragile(running, control, origin)
    finally:
        origin.close()
        control.close()
