"""A service and the hosts' examples on one database, behind one real Pushpin."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.browser_like import Browsers
from tests.support.forwarder import Forwarder
from tests.support.fragile import HEARTBEAT
from tests.support.hosts import INBOXES, Host, django_host, fastapi_host, flask_host, mounts
from tests.support.kills import USER
from tests.support.service import Service, service
from tests.support.stack import Stack

HOSTS = ("flask", "django", "fastapi")
USERS = [USER, *(f"user{number}" for number in range(32))]
MOST = 8  # streams of one user
PAGE = 5  # missed events in one response


@dataclass(frozen=True)
class Town:
    """A service and the hosts on one database, behind one Pushpin."""

    service: Service
    control: Forwarder  # between all that publish and the control port
    hosts: dict[str, Host]
    ways: dict[str, Forwarder]  # between Pushpin and each host


@contextmanager
def town(url: str, data_dir: Path, browsers: Browsers, packages: Path | None) -> Iterator[Town]:
    places, ways = mounts(), {}
    for prefix, address in places.items():
        ways[prefix] = Forwarder(browsers, int(address.rpartition(":")[2]))
    control = Forwarder(browsers)
    stack = Stack(
        url,
        data_dir,
        env={
            "SSE_KEEPALIVE_TIMEOUT": str(HEARTBEAT),
            "SSE_QUEUE_SIZE": str(PAGE),
            "GRIP_URL": control.url,
            "PUBLISH_TIMEOUT": "1",
            "SSE_MAX_CONNECTIONS_PER_USER": str(MOST),
        },
        mounts={prefix: forwarder.address for prefix, forwarder in ways.items()},
        inboxes=INBOXES,
    )
    control.target_port = stack.proxies[0].control_port
    with ExitStack() as started:
        for forwarder in (control, *ways.values()):
            started.callback(forwarder.close)
        running = started.enter_context(stack)
        hosts = {
            "flask": started.enter_context(flask_host(running, places["/hiring/"], USERS)),
            "django": started.enter_context(django_host(running, places["/site/"], USERS, packages)),
            "fastapi": started.enter_context(fastapi_host(running, places["/meetings/"], USERS)),
        }
        named = {"flask": ways["/hiring/"], "django": ways["/site/"], "fastapi": ways["/meetings/"]}
        yield Town(started.enter_context(service(running, browsers)), control, hosts, named)
