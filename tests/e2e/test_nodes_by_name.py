"""Nodes are added and removed by the addresses of one host name, without a restart, and nothing is lost."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from subprocess import run
from tempfile import TemporaryDirectory

import httpx
import pytest
from sqlalchemy import text

from shirase.run.processes import Child
from tests.support.browser_like import Browsers, Device
from tests.support.loop_thread import wait_until
from tests.support.own_hosts import own_hosts
from tests.support.service import Service, service
from tests.support.stack import Stack

NAME = "nodes.test"
SOON = 30.0
LeadTo = Callable[..., None]


@pytest.fixture
def named(postgres_url: str) -> Iterator[tuple[Service, LeadTo]]:
    """A service with two nodes; the name leads to the first."""
    with ExitStack() as running:
        home = Path(running.enter_context(TemporaryDirectory(prefix="s-")))
        lead_to = running.enter_context(own_hosts(home, NAME))
        lead_to("127.0.0.2")
        browsers = running.enter_context(Browsers())
        stack = running.enter_context(Stack(postgres_url, home, nodes=2, node_host=NAME, stats_ttl=2))
        yield running.enter_context(service(stack, browsers)), lead_to


def column(service: Service, query: str) -> set[str]:
    with service.database.autocommit() as db:
        return set(db.execute(text(query)).scalars())


def doctor(service: Service) -> str:
    command = [sys.executable, "-m", "shirase", "doctor", "--url", service.stack.urls[1]]
    env = {**os.environ, **service.stack.settings_env}
    return run(command, env=env, capture_output=True, text=True, check=False).stdout


def test_nodes_come_and_go_by_the_addresses_of_a_name(named: tuple[Service, LeadTo]) -> None:
    service, lead_to = named
    names = [f"http://{proxy.control_host}:{proxy.control_port}" for proxy in service.stack.proxies]
    first, second = service.open("both"), service.open("both", node=1)

    def create(expected: int, *devices: Device) -> None:
        service.create("both", url=service.stack.urls[1])
        for device in devices:
            device.wait(lambda seen: len(seen.named("notification")) == expected, SOON)

    create(1, first, second)  # the second names its address, although the name does not lead there yet
    lead_to("127.0.0.2", "127.0.0.3")
    marks = "SELECT node FROM shirase_connections WHERE user_id = '' AND ended_at > now()"
    wait_until(lambda: column(service, marks) == set(names), SOON, service.stack.logs)
    create(2, first, second)
    assert f"{', '.join(names)}, by the addresses of {NAME}" in doctor(service)
    lead_to("127.0.0.3")
    create(3, first, second)  # the first still holds a stream
    service.stack.kill_pushpin(0)
    known = "SELECT name FROM shirase_nodes"
    wait_until(lambda: column(service, known) == {names[1]}, SOON, service.stack.logs)
    create(4, second)


def test_a_node_drains_itself_at_sigterm(named: tuple[Service, LeadTo], tmp_path: Path) -> None:
    service, lead_to = named
    stack, address = service.stack, "127.0.0.4"
    control = stack.proxies[0].control_port
    node, url, log = f"http://{address}:{control}", f"http://{address}:{control - 2}", tmp_path / "log"
    command = [sys.executable, "-m", "shirase", "proxy", "--origin", stack.proxies[0].origin, "--drain", "1"]
    command += ["--host", address, "--control-host", address, "--port", str(control - 2), "--data-dir", str(tmp_path)]
    running = Child("node", command, {**os.environ, **stack.settings_env}, mark=str(tmp_path))
    lead_to("127.0.0.2", address)
    with log.open("wb") as output:
        running.start(output)
    try:
        marks = "SELECT node FROM shirase_connections WHERE user_id = '' AND ended_at > now()"
        wait_until(lambda: node in column(service, marks), SOON, stack.logs)
        wait_until(lambda: answers(url), SOON, log.read_text)
        device = service.browsers.open(url, stack.token("moves"), reconnect=False)
        device.wait(lambda it: it.named("connected"))
        running.signal(signal.SIGTERM)
        device.wait(lambda it: it.named("closing"), SOON)
        wait_until(lambda: running.exit_code() is not None, SOON, log.read_text)
    finally:
        running.kill()
    assert running.exit_code() == 0
    assert device.named("closing")[0].json == {"reason": "draining", "reconnect": True}
    assert "1 streams have moved to other nodes" in log.read_text()


def answers(url: str) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"{url}/livez", trust_env=False).is_success
    return False


def test_a_name_without_addresses_delays_and_loses_nothing(named: tuple[Service, LeadTo]) -> None:
    service, lead_to = named
    lead_to()
    begun = time.monotonic()
    for _ in range(5):
        service.create("later")
    assert time.monotonic() - begun < 5 * service.stack.settings.publish_timeout
    device = service.open("later")
    service.create("later")
    device.wait(lambda seen: len(seen.named("notification")) == 1, SOON)  # posted by the row
    assert f"{NAME} in GRIP_URL has no address" in doctor(service)
    lead_to("127.0.0.2")
    service.create("later")
    device.wait(lambda seen: len(seen.named("notification")) == 2, SOON)
