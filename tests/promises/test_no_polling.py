"""Promise 4, No polling: an idle stream costs the origin and the database nothing.

``SHIRASE_IDLE_SECONDS=180`` sets the length of the observation; the default is a few seconds.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.conftest import MakeDatabase
from tests.support.browser_like import WAIT, Browsers, Device
from tests.support.fragile import HEARTBEAT, Fragile, fragile_service
from tests.support.loop_thread import wait_until

STREAMS = 50
WINDOW = int(os.environ.get("SHIRASE_IDLE_SECONDS", "4"))

# Autovacuum and the like are the server's own and do not count.
ACTIVITY = """
    SELECT pid, query_start FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY pid
"""

pytestmark = pytest.mark.timeout(120 + 2 * WINDOW)


@pytest.fixture
def on_postgresql(make_database: MakeDatabase, tmp_path: Path, browsers: Browsers) -> Iterator[Fragile]:
    env = {"SSE_KEEPALIVE_TIMEOUT": str(HEARTBEAT)}
    with make_database("postgresql") as url, fragile_service(url, tmp_path, browsers, env) as fragile:
        yield fragile


def test_no_polling_of_the_handlers_and_the_database(on_postgresql: Fragile) -> None:
    """Count requests in a forwarder and queries in the database, without the relay's own."""
    service, stack, requests = on_postgresql.service, on_postgresql.stack, on_postgresql.origin.requests
    stack.kill_relay()
    with psycopg.connect(stack.settings.database_url, autocommit=True) as connection:
        at_first = connection.execute(ACTIVITY).fetchall()
        devices = on_postgresql.open_settled([f"user-{uuid4().hex}" for _ in range(STREAMS)])
        settled, activity = len(requests), connection.execute(ACTIVITY).fetchall()
        assert settled >= STREAMS  # requests are counted
        assert activity != at_first  # queries are counted

        idle(devices)

        assert requests[settled:] == []
        assert connection.execute(ACTIVITY).fetchall() == activity
        assert all(device.open and device.connections == 1 for device in devices)
        service.create("someone")
        assert len(requests) == settled + 1
        assert connection.execute(ACTIVITY).fetchall() != activity


def idle(devices: list[Device]) -> None:
    """Wait while every stream carries nothing but heartbeats."""
    end = time.monotonic() + WINDOW
    wait_until(lambda: time.monotonic() > end, WINDOW + 10, "time does not pass")
    counts = [len(device.named("heartbeat")) for device in devices]
    assert min(counts) >= WINDOW // (2 * HEARTBEAT)
    wait_until(
        lambda: all(len(device.named("heartbeat")) > count for device, count in zip(devices, counts, strict=True)),
        WAIT,
        "a stream has no heartbeat any more",
    )
