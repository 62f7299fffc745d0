"""The clock of the handlers and the relay is stepped forward and back while they run.

Pushpin's clock stays: its timers use the wall clock, so it has to be restarted when that is stepped.
"""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

from tests.support.browser_like import Browsers
from tests.support.service import Service, service
from tests.support.stack import Stack

HOUR, DAY = 3600, 86_400
# Seconds by which the clock is off. Pushpin's signatures are valid for an hour, which bounds the steps forward.
STEPS = [3000, -3 * HOUR, -2 * DAY, 3000, 0]
SOURCE = Path(__file__).with_name("clock.c")
FAR = 2**33  # Unix time


class Timeless(Stack):
    """A stack whose tokens do not expire."""

    def token(self, user: str, scope: str = "") -> str:
        claims = {"sub": user, "scope": scope, "exp": FAR}
        return jwt.encode(claims, self.settings.jwt_secret, algorithm="HS256")


@pytest.fixture
def clock(tmp_path: Path) -> Path:
    """The file with the offset in seconds, read at each call for the time."""
    path = tmp_path / "clock"
    path.write_text("0")
    return path


@pytest.fixture
def stepped(database_url: str, tmp_path: Path, clock: Path) -> Iterator[Service]:
    library = tmp_path / "clock.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE)], check=True)
    env = {"LD_PRELOAD": str(library), "CLOCK_OFFSET_FILE": str(clock), "CLOCK_PROGRAMS": "python"}
    with (
        Browsers() as browsers,
        Timeless(database_url, tmp_path, env=env) as stack,
        service(stack, browsers) as running,
    ):
        yield running


def test_a_stepped_clock_loses_and_doubles_nothing(stepped: Service, clock: Path) -> None:
    alice = "alice"
    steady, restless = stepped.open_many([alice] * 2)
    restless.longest_retry = 0.1
    times = []
    for step in STEPS:
        clock.write_text(str(step))
        times.append(stepped.create(alice, str(step))["created_at"])
        restless.drop()
        stepped.create_batch(alice, [f"{step} {number}" for number in range(3)])
        stepped.ask("POST", "/api/notifications/read-all", alice)
        stepped.stack.kill_relay()
        stepped.stack.start_relay()

    assert times != sorted(times)  # the clock was stepped
    for device in (steady, restless):
        device.wait(lambda seen: len(seen.log) >= 5 * len(STEPS))
        assert device.seqs == stepped.seqs_of(alice)
    assert steady.connections == 1
