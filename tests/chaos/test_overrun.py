"""When Pushpin silently drops accepted events, the streams recover them."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.browser_like import Browsers, Device
from tests.support.fragile import Fragile, fragile_service
from tests.support.service import draft

USERS = [f"user {number}" for number in range(20)]
TITLES = [str(number) for number in range(6)]
RATE, QUEUE = 10, 10  # deliveries a second, and how many are queued; the rest is dropped
RESYNC = 3  # seconds
MOST_NEXTS = 10
DROPPED = f"exceeded publish hwm ({QUEUE}), dropping message"


@contextmanager
def overrun(database_url: str, data_dir: Path, env: dict[str, str]) -> Iterator[tuple[Fragile, list[Device]]]:
    """Run a node with a low rate and a short queue, which has dropped most of a burst."""

    def mistune(configuration: Path) -> None:
        text = configuration.read_text()
        for name, normal, wrong in (("message_rate", 0, RATE), ("message_hwm", 1_000_000, QUEUE)):
            assert f"{name}={normal}\n" in text
            text = text.replace(f"{name}={normal}\n", f"{name}={wrong}\n")
        configuration.write_text(text)

    with (
        Browsers() as browsers,
        fragile_service(database_url, data_dir, browsers, env, mistune) as fragile,
    ):
        fragile.stack.kill_relay()
        devices = fragile.open_settled(USERS)
        for title in TITLES:
            fragile.service.produce("/broadcast", draft(title, user_ids=USERS))
        assert DROPPED in fragile.stack.logs()
        yield fragile, devices


def test_the_next_delivered_event_recovers_dropped_ones(sqlite_url: str, tmp_path: Path) -> None:
    with overrun(sqlite_url, tmp_path, {}) as (fragile, devices):
        for user, device in zip(USERS, devices, strict=True):
            nexts = 0
            while len(device.titles) < len(TITLES):  # while the queue is full, this one may be dropped too
                nexts += 1
                assert nexts < MOST_NEXTS
                fragile.service.create(user, "next")
                with suppress(AssertionError):
                    device.wait(lambda seen: len(seen.titles) >= len(TITLES), timeout=2)
            device.wait(lambda seen: len(seen.titles) >= len(TITLES) + nexts)  # noqa: B023 - called within this iteration
            assert device.titles == TITLES + ["next"] * nexts
            assert device.connections == 1


def test_without_a_later_event_the_resync_recovers_dropped_ones(sqlite_url: str, tmp_path: Path) -> None:
    with overrun(sqlite_url, tmp_path, {"SSE_RESYNC_INTERVAL": str(RESYNC)}) as (_, devices):
        for device in devices:
            device.wait(lambda seen: len(seen.titles) >= len(TITLES))
            assert device.titles == TITLES
            assert device.connections == 1
