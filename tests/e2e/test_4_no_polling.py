"""Promise 4, No polling: an idle stream costs the origin and the database nothing.

``SHIRASE_IDLE_SECONDS=180`` makes the window as long as that; without it, it is a few heartbeats.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.browser_like import Browsers, Device
from tests.conftest import MakeDatabase
from tests.e2e.conftest import HEARTBEAT, Fragile, fragile_service

STREAMS = 50
WINDOW = int(os.environ.get("SHIRASE_IDLE_SECONDS", "4"))
SETTLED = 3  # heartbeats after which nothing of the opening is left to do

# Autovacuum and its like are the server's own and do not count.
ACTIVITY = """
    SELECT pid, query_start FROM pg_stat_activity
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY pid
"""

pytestmark = pytest.mark.timeout(120 + 2 * WINDOW)


@pytest.fixture
def on_postgresql(make_database: MakeDatabase, tmp_path: Path, browsers: Browsers) -> Iterator[tuple[Fragile, str]]:
    """A service that talks to its database directly, and the database's address."""
    env = {"SSE_KEEPALIVE_TIMEOUT": str(HEARTBEAT)}
    with make_database("postgresql") as url, fragile_service(url, tmp_path, browsers, env) as fragile:
        yield fragile, url


def test_no_polling_of_the_handlers_and_the_database(on_postgresql: tuple[Fragile, str]) -> None:
    """Requests are counted on their way, queries by the database itself; the relay's own are kept out."""
    fragile, url = on_postgresql
    fragile.stack.kill_relay()
    requests = fragile.origin.requests
    with psycopg.connect(url, autocommit=True) as connection:
        at_first = connection.execute(ACTIVITY).fetchall()
        devices = fragile.service.open_many([f"user-{uuid4().hex}" for _ in range(STREAMS)])
        wait_heartbeats(devices, SETTLED)
        settled, activity = len(requests), connection.execute(ACTIVITY).fetchall()
        assert settled >= STREAMS  # requests are counted
        assert activity != at_first  # queries are seen

        wait_heartbeats(devices, WINDOW // HEARTBEAT)

        assert requests[settled:] == []
        assert connection.execute(ACTIVITY).fetchall() == activity
        assert all(device.open and device.connections == 1 for device in devices)
        fragile.service.create("someone")
        assert len(requests) == settled + 1
        assert connection.execute(ACTIVITY).fetchall() != activity


def wait_heartbeats(devices: list[Device], count: int) -> None:
    """Let every stream be silent for so many heartbeats more."""
    wanted = {id(device): len(device.named("heartbeat")) + count for device in devices}
    for device in devices:
        device.wait(lambda one: len(one.named("heartbeat")) >= wanted[id(one)], timeout=30 + 2 * count * HEARTBEAT)
