"""The connection registry on two real nodes: limit, counts and revocation, also during faults."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from shirase.access.tokens import ADMIN, mint
from shirase.proxy import grip
from tests.conftest import MakeDatabase
from tests.support.browser_like import Browsers, Device
from tests.support.forwarder import Forwarder, Mode
from tests.support.loop_thread import wait_until
from tests.support.service import Service, service
from tests.support.stack import Stack

LIMIT = 5
NODES = 2
TTL = 3  # seconds in which a node repeats everything; the default is 15
SOON = 20.0  # seconds; without a fault, two suffice
MANY = 1000

both = pytest.mark.parametrize("pair", ["sqlite", "postgresql"], indirect=True, scope="module")
lightest = pytest.mark.parametrize("pair", ["sqlite"], indirect=True, scope="module")
postgresql = pytest.mark.parametrize("pair", ["postgresql"], indirect=True, scope="module")


@dataclass(frozen=True)
class Pair:
    """Two nodes, with forwarders between the parts."""

    service: Service
    origin: Forwarder  # between the nodes and the handlers
    statistics: list[Forwarder]  # between each node and the relay
    opened: list[Device] = field(default_factory=list)

    @property
    def stack(self) -> Stack:
        return self.service.stack

    def open(self, user: str, count: int, *, in_turn: bool = False, **options: Any) -> list[Device]:
        """Open streams of one user at both nodes, all at once or in turn."""
        opened = []
        for number in range(count):
            opened.append(self.service.open(user, node=number % NODES, greeted=in_turn, **options))
            self.opened.append(opened[-1])
        for device in opened:
            device.wait(lambda seen: seen.named("connected"))
        return opened

    def count(self, user: str) -> tuple[int, int]:
        """Read the counts of the service: the user's streams, and all."""
        answer = self.service.ask("GET", "/api/sse/status", user, scope=ADMIN, url=self.stack.origin_url).json()
        return answer["user_connections"], answer["total_connections"]

    def wait_count(self, user: str, own: int, total: int | None = None) -> None:
        """Wait until the service reports these counts."""
        expected = (own, own if total is None else total)
        wait_until(lambda: self.count(user) == expected, SOON, lambda: f"{self.count(user)} and not {expected}")

    def revoke(self, user: str) -> int:
        answer = self.service.ask(
            "DELETE", "/api/sse/connections", scope=ADMIN, params={"user_id": user}, url=self.stack.origin_url
        )
        closed: int = answer.json()["closed"]
        return closed

    def hint(self, user: str) -> None:
        """Have all nodes read the user's streams again."""
        item = {"channel": grip.user_channel(user), "formats": {"http-stream": {"action": "hint"}}}
        for url in self.stack.control_urls:
            httpx.post(f"{url}/publish/", json={"items": [item]}).raise_for_status()


@pytest.fixture(scope="module")
def pair(
    request: pytest.FixtureRequest,
    make_database: MakeDatabase,
    tmp_path_factory: pytest.TempPathFactory,
    browsers: Browsers,
) -> Iterator[Pair]:
    origin, *statistics = forwarders = [Forwarder(browsers) for _ in range(1 + NODES)]
    addresses = " ".join(f"tcp://{statistic.address}" for statistic in statistics)
    env = {"SSE_MAX_CONNECTIONS_PER_USER": str(LIMIT), "PUSHPIN_STATS_URL": addresses}
    try:
        with make_database(request.param) as url:
            data_dir = tmp_path_factory.mktemp("pair")
            stack = Stack(url, data_dir, workers=4, nodes=NODES, pushpin_origin=origin.address, env=env)
            origin.target_port = int(stack.origin_url.rpartition(":")[2])
            for forwarder, proxy in zip(statistics, stack.proxies, strict=True):
                forwarder.target_port = proxy.stats_port
                file = proxy.run_dir / "pushpin.conf"
                file.write_text(file.read_text().replace("_ttl=15", f"_ttl={TTL}"))
            with stack, service(stack, browsers) as running:
                yield Pair(running, origin, statistics)
    finally:
        for each in forwarders:
            each.close()


@pytest.fixture(autouse=True)
def nobody_is_left(pair: Pair) -> Iterator[None]:
    """Begin and end each test with an empty registry."""
    pair.wait_count("nobody", 0)
    yield
    for device in pair.opened:
        device.close()
    pair.opened.clear()


def ended(device: Device, reason: str, *, reconnect: bool) -> bool:
    closings = [event.json for event in device.named("closing")]
    return closings == [{"reason": reason, "reconnect": reconnect}] and not device.open


@both
def test_the_limit_is_exact_over_all_workers_and_nodes(pair: Pair) -> None:
    devices = pair.open("racer", 25)
    wait_until(lambda: sum(device.open for device in devices) == LIMIT, SOON, lambda: f"{devices}")
    pair.wait_count("racer", LIMIT)
    for device in devices:
        if not device.open:
            assert ended(device, "connection-limit", reconnect=False)
            assert device.retry >= 3600  # a native EventSource does not reconnect at once
        assert device.connections == 1
    pair.service.create("racer", "to those who stay")
    for device in devices:
        if device.open:
            device.wait(lambda seen: seen.titles)
    for device in devices:
        device.close()
    pair.wait_count("racer", 0)


@lightest
def test_counts_are_right_after_a_thousand_streams_end_at_once(pair: Pair) -> None:
    devices: list[Device] = []
    for begin in range(0, MANY, 100):
        devices += pair.service.open_many(
            [f"u{number // 4}" for number in range(begin, begin + 100)], node=begin // 100 % 2
        )
    pair.wait_count("u0", 4, MANY)
    for device in devices:
        device.close()
    pair.wait_count("u0", 0)


@both
def test_a_revocation_ends_all_streams_of_one_user_on_every_node(pair: Pair) -> None:
    devices, (other,) = pair.open("revoked", 4), pair.open("other", 1)
    assert pair.revoke("revoked") == 4
    for device in devices:
        device.wait(lambda seen: ended(seen, "revoked", reconnect=False))
    pair.wait_count("other", 1)
    assert other.open
    assert pair.revoke("revoked") == 0


@postgresql
@pytest.mark.parametrize("mode", [Mode.HOLD, Mode.HOLD_ANSWER])
def test_a_revocation_ends_a_stream_that_is_just_recovering(pair: Pair, mode: Mode) -> None:
    """The recovery's request is in flight, or the answer that lets it continue."""
    devices = pair.open("recovering", NODES)
    pair.origin.mode = mode
    try:
        pair.hint("recovering")
        pair.origin.wait_held(NODES)
        pair.origin.mode = Mode.PASS
        assert pair.revoke("recovering") == NODES
    finally:
        pair.origin.mode = Mode.PASS
        pair.origin.release()
    for device in devices:
        device.wait(lambda seen: ended(seen, "revoked", reconnect=False))


@postgresql
def test_a_revocation_ends_a_stream_that_is_just_opening(pair: Pair) -> None:
    pair.origin.mode = Mode.HOLD_ANSWER
    try:
        device = pair.service.open("opening", greeted=False)
        pair.origin.wait_held()
        pair.origin.mode = Mode.PASS
        assert pair.revoke("opening") == 1
    finally:
        pair.origin.mode = Mode.PASS
        pair.origin.release()
    device.wait(lambda seen: ended(seen, "revoked", reconnect=False))


@postgresql
def test_a_tokens_expiry_ends_its_stream(pair: Pair) -> None:
    (lasting,) = pair.open("short", 1)
    token = mint(pair.stack.settings, "short", ttl=2)
    device = pair.service.browsers.open(pair.stack.url, token, reconnect=False)
    device.wait(lambda seen: ended(seen, "token-expired", reconnect=True))
    assert lasting.open
    pair.wait_count("short", 1)


@postgresql
def test_without_a_relay_streams_open_and_the_limit_applies(pair: Pair) -> None:
    pair.stack.kill_relay()
    try:
        devices = pair.open("alone", LIMIT + 2, in_turn=True)
        for device in devices[:2]:
            device.wait(lambda seen: ended(seen, "connection-limit", reconnect=False))
        devices[2].close()
        assert pair.count("alone") == (LIMIT, LIMIT)
    finally:
        pair.stack.start_relay()
    pair.wait_count("alone", LIMIT - 1)
    assert all(device.open for device in devices[3:])


@postgresql
def test_counts_recover_from_restarts_of_pushpin_and_relay(pair: Pair) -> None:
    """Restart one, the other and both, while streams end unnoticed."""
    devices = pair.open("restarted", 4, longest_retry=0.2, renew=True)
    pair.wait_count("restarted", 4)
    for parts in (("pushpin",), ("relay",), ("pushpin", "relay")):
        for part in parts:
            getattr(pair.stack, f"kill_{part}")()
        devices.pop().close()
        for part in parts:
            getattr(pair.stack, f"start_{part}")()
        pair.stack.wait_ready()
        for device in devices:
            device.wait(lambda seen: seen.open)
        pair.wait_count("restarted", len(devices))
        assert not any(device.named("closing") for device in devices)


@postgresql
def test_counts_recover_when_one_of_two_nodes_is_killed(pair: Pair) -> None:
    devices = pair.open("halved", 4, reconnect=False)
    pair.wait_count("halved", 4)
    pair.stack.kill_pushpin(1)
    try:
        pair.wait_count("halved", 2)
        assert [device.open for device in devices] == [True, False, True, False]
    finally:
        pair.stack.start_pushpin(1)
        pair.stack.wait_ready()
    assert pair.revoke("halved") == 2


@postgresql
@pytest.mark.parametrize("mode", [Mode.REFUSE, Mode.HANG])
def test_rows_expire_without_statistics_and_return_with_them(pair: Pair, mode: Mode) -> None:
    devices = pair.open("unheard", 4)
    pair.wait_count("unheard", 4)
    lost = pair.statistics[0]
    lost.mode = mode
    lost.cut()
    try:
        pair.wait_count("unheard", 2)
    finally:
        lost.mode = Mode.PASS
        lost.cut()
    pair.wait_count("unheard", 4)
    assert all(device.open and device.connections == 1 for device in devices)


@both
def test_a_lost_registry_is_rebuilt_and_ends_no_stream(pair: Pair) -> None:
    devices = pair.open("lost", 4)
    pair.wait_count("lost", 4)
    with pair.service.database.transaction() as db:
        db.execute(text("DELETE FROM shirase_connections"))
    pair.wait_count("lost", 4)
    assert all(device.open and device.connections == 1 for device in devices)
    assert pair.revoke("lost") == 4
