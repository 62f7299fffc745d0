"""After a long outage of the proxies, the relays publish the backlog at the proxies' speed."""

from pathlib import Path

from tests.support.browser_like import Browsers
from tests.support.forwarder import Mode
from tests.support.fragile import fragile_service
from tests.support.loop_thread import wait_until
from tests.support.service import draft

USERS = [f"user {number:05}" for number in range(10_000)]
TITLES = [str(number) for number in range(10)]
RELAYS, WATCHED = 2, 20
DRAINED = 120.0


def test_two_relays_drain_100_000_events_and_deliver_each_once(
    database_url: str, tmp_path: Path, browsers: Browsers
) -> None:
    with fragile_service(database_url, tmp_path, browsers, relays=RELAYS) as fragile:
        service, stack = fragile.service, fragile.stack
        devices = fragile.open_settled(USERS[:: len(USERS) // WATCHED])
        for number in range(RELAYS):
            stack.kill_relay(number)
        fragile.control.mode = Mode.REFUSE
        for title in TITLES:
            service.produce("/broadcast", draft(title, user_ids=USERS))
        assert service.unpublished() == len(USERS) * len(TITLES)

        fragile.control.mode = Mode.PASS
        for number in range(RELAYS):
            stack.start_relay(number)
        wait_until(lambda: not service.unpublished(), DRAINED, lambda: f"{service.unpublished()} are left")
        for device in devices:
            device.wait(lambda seen: len(seen.titles) >= len(TITLES))
            assert device.titles == TITLES
            assert device.connections == 1
