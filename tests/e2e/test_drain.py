"""A node is drained under load: nothing is lost, and when it stops, no stream ends by that."""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from shirase.run import self_drain
from shirase.store import draining
from tests.support.balancer import balancer
from tests.support.browser_like import Browsers, Device
from tests.support.loop_thread import wait_until
from tests.support.service import Service, service
from tests.support.stack import Stack

DEVICES = 24
OVER = 4  # seconds
BOUND = 60.0
PAUSE = 2.0  # seconds, longer than a balancer waits by itself


@pytest.fixture
def running(postgres_url: str) -> Iterator[tuple[Service, str]]:
    """Two nodes, and a balancer before them."""
    with ExitStack() as started:
        home = Path(started.enter_context(TemporaryDirectory(prefix="s-")))
        browsers = started.enter_context(Browsers())
        stack = started.enter_context(Stack(postgres_url, home, nodes=2, stats_ttl=2))
        url = started.enter_context(balancer(stack.log_dir, stack.urls))
        yield started.enter_context(service(stack, browsers)), url


def shirase(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shirase", *arguments]
    env = {**os.environ, **stack.settings_env}
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=BOUND, check=False)


def test_a_drained_node_stops_without_a_loss(running: tuple[Service, str]) -> None:
    made, url = running
    stack, node = made.stack, made.stack.control_urls[0]
    users = [f"user-{n}" for n in range(DEVICES)]
    devices = [made.browsers.open(url, stack.token(user)) for user in users]
    for device in devices:
        device.wait(lambda seen: seen.named("connected"))
    created = dict.fromkeys(users, 0)
    is_over = threading.Event()

    def write() -> None:
        while not is_over.wait(0.05):
            for user in users[:: DEVICES // 4]:
                made.create(user, url=stack.origin_url)
                created[user] += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        held = open_at(made, node)
        assert 0 < held < DEVICES
        drained = shirase(stack, "drain", node, "--over", str(OVER))
        assert (drained.returncode, drained.stderr.count("streams have moved") > OVER) == (0, True), drained
        moved = int(re.findall(f"{node} is drained: ([0-9]+) streams have moved", drained.stdout)[0])
        assert 0 < moved <= held  # a connect that failed leaves a row for a moment
        assert open_at(made, node) == 0
        wait_until_all_are_back(made, devices)
        connections = [device.connections for device in devices]
        stack.kill_pushpin(0)
        is_over.wait(1)  # so that events are created without it
    finally:
        is_over.set()
        writer.join()
    for user, device in zip(users, devices, strict=True):
        device.wait(lambda seen, user=user: len(positions(seen)) == created[user])  # type: ignore[misc]
        assert positions(device) == list(range(1, created[user] + 1))
    assert [device.connections for device in devices] == connections
    closings = [event.json for device in devices for event in device.named("closing")]
    assert closings == [{"reason": "draining", "reconnect": True}] * moved


def test_the_last_node_refuses_no_client_while_it_is_slow(running: tuple[Service, str]) -> None:
    made, url = running
    stack, node = made.stack, made.stack.control_urls[0]
    devices = [made.browsers.open(url, stack.token(f"user-{n}")) for n in range(DEVICES)]
    for device in devices:
        device.wait(lambda seen: seen.named("connected"))
    assert 0 < open_at(made, node) < DEVICES
    programs = stack.pushpin_programs(1).values()
    with ThreadPoolExecutor(1) as thread:
        drained = thread.submit(shirase, stack, "drain", node, "--over", "0")
        wait_until(lambda: any(device.named("closing") for device in devices), BOUND, "none is moved")
        for program in programs:
            os.kill(program, signal.SIGSTOP)
        try:
            threading.Event().wait(PAUSE)
        finally:
            for program in programs:
                os.kill(program, signal.SIGCONT)
        assert drained.result().returncode == 0, drained.result()
    wait_until_all_are_back(made, devices)
    assert open_at(made, node) == 0
    assert [device.refusals for device in devices] == [0] * DEVICES


def test_a_node_that_stops_moves_its_streams_first(running: tuple[Service, str]) -> None:
    made, url = running
    stack, node = made.stack, made.stack.control_urls[0]
    devices = [made.browsers.open(url, stack.token(f"user-{n}")) for n in range(DEVICES)]
    for device in devices:
        device.wait(lambda seen: seen.named("connected"))
    held = open_at(made, node)
    assert 0 < held < DEVICES
    self_drain.drain(stack.proxies[0], node, stack.settings.pushpin_sig_key.encode(), OVER, lambda: False)
    assert open_at(made, node) == 0
    wait_until_all_are_back(made, devices)
    closings = [event.json for device in devices for event in device.named("closing")]
    assert 0 < len(closings) <= held
    assert closings == [{"reason": "draining", "reconnect": True}] * len(closings)
    # One that starts again takes streams soon.
    wait_until(lambda: httpx.get(f"{stack.urls[0]}/livez/open").status_code == 200, BOUND, "it takes none")


def test_a_node_that_is_drained_takes_streams_again_if_undone(running: tuple[Service, str]) -> None:
    made, _ = running
    stack = made.stack
    first, second = stack.control_urls
    assert shirase(stack, "drain", first.removeprefix("http://"), "--over", "0").returncode == 0
    answer = made.ask("GET", "/api/sse/notifications", url=stack.urls[0])
    assert (answer.status_code, answer.text.startswith("retry: "), answer.text.count("\n")) == (200, True, 2)
    assert [httpx.get(f"{url}/livez/open").status_code for url in stack.urls] == [503, 200]
    assert [httpx.get(f"{stack.urls[0]}{path}").status_code for path in ("/livez", "/healthz")] == [200, 200]
    stack.stop_gunicorn()  # which closes no node, and opens none
    assert [httpx.get(f"{url}/livez/open").status_code for url in stack.urls] == [503, 200]
    stack.start_gunicorn()
    stack.wait_ready(stack.urls[1:])
    last = shirase(stack, "drain", second)
    assert (last.returncode, last.stderr) == (
        1,
        f"shirase: {second} is the last node that takes streams: start another one first\n",
    )
    assert shirase(stack, "drain", first, "--undo").stdout == f"{first} takes new streams again\n"
    wait_until(lambda: httpx.get(f"{stack.urls[0]}/livez/open").status_code == 200, BOUND, "it takes none")


def test_an_unknown_node_is_named_beside_the_known_ones(running: tuple[Service, str]) -> None:
    stack = running[0].stack
    unknown = shirase(stack, "drain", "http://127.0.0.9:1")
    nodes = ", ".join(sorted(stack.control_urls))
    assert unknown.stderr == f"shirase: no node is called http://127.0.0.9:1; the nodes are: {nodes}\n"
    several = shirase(stack, "drain", "127.0.0.1")
    assert several.stderr == f"shirase: several nodes are called 127.0.0.1; the nodes are: {nodes}\n"
    assert (unknown.returncode, several.returncode) == (1, 1)


def open_at(made: Service, node: str) -> int:
    with made.database.autocommit() as db:
        return draining.count(db, node)


def wait_until_all_are_back(made: Service, devices: list[Device]) -> None:
    """Until the other node holds all streams, and each device has the beginning of its own."""

    def state() -> str:
        counts = [open_at(made, name) for name in made.stack.control_urls]
        return f"not all came back: {counts} streams, {devices}\n{made.stack.logs()}"

    wait_until(lambda: open_at(made, made.stack.control_urls[1]) == DEVICES, BOUND, state)
    wait_until(lambda: all(map(is_back, devices)), BOUND, state)


def is_back(device: Device) -> bool:
    """Whether a device that was moved has its new stream: the registry has one before its browser has the answer."""
    closings = device.named("closing")
    return not closings or device.named("connected")[-1].connection > closings[-1].connection


def positions(device: Device) -> list[int]:
    return [event.seq or 0 for event in device.named("notification")]
