"""Open and close streams at random, then compare the registry with the open connections."""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from sqlalchemy import select

from shirase.access.tokens import ADMIN
from shirase.proxy.seals import connection_name
from shirase.store.database import Database
from shirase.store.migrate import migrate
from shirase.store.tables import ConnectionRow
from tests.support.browser_like import Browsers, Device
from tests.support.loop_thread import wait_until
from tests.support.postgres import cluster
from tests.support.service import Service, service
from tests.support.stack import Stack

NODES = 2
WORKERS = 3
AT_ONCE = 50  # streams opened together at the start
SETTLE = 30.0  # seconds until the registry must be right; the report has the actual number
TURN = 0.1  # seconds between two groups of changes
REPORTED = 10.0  # seconds between two progress lines


@dataclass(frozen=True)
class Options:
    """What to run."""

    seed: int
    seconds: float
    database: str
    streams: int = 2000
    users: int = 500
    rate: float = 60.0  # opened and closed per second


@dataclass
class Report:
    """What was done, and how far the registry was off."""

    options: Options
    opened: int = 0
    closed: int = 0
    evicted: int = 0
    refused: int = 0
    held: int = 0
    apart: list[int] = field(default_factory=list)  # differences between registry and clients, over time
    equal_after: float | None = None  # seconds from the last change until the registry was right
    empty_after: float | None = None  # seconds from the end of all streams until the registry was empty
    failures: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        """Format the figures."""
        apart = self.apart or [0]
        lines = [
            f"seed {self.options.seed}, {self.options.database}:",
            f"{self.opened} opened, {self.closed} closed, {self.evicted} evicted, {self.refused} refused",
            f"{self.held} held at the end",
            f"registry off by: median {median(apart):g}, at most {max(apart)}",
            f"registry right {_shown(self.equal_after)} after the last change",
            f"registry empty {_shown(self.empty_after)} after all streams ended at once",
        ]
        return "\n".join(lines + self.failures)


def run(options: Options, show: Callable[[str], None]) -> Report:
    """Open and close streams, then compare; ``show`` receives progress lines."""
    report = Report(options)
    with (
        tempfile.TemporaryDirectory(prefix="shirase-churn-", ignore_cleanup_errors=True) as directory,
        scene(options.database, Path(directory)) as running,
    ):
        crowd = Crowd(running, report)
        crowd.fill()
        show(f"{len(crowd.devices)} streams are open")
        crowd.churn(show)
        report.equal_after = crowd.wait_equal("after the last change")
        report.held = len(crowd.truth())
        compare_with_api(running, crowd, report)
        crowd.close_all()
        report.empty_after = crowd.wait_equal("after all have ended")
    return report


class Crowd:
    """The devices that are connected."""

    def __init__(self, running: Service, report: Report) -> None:
        self.devices: list[Device] = []
        self._running = running
        self._report = report
        self._chance = random.Random(report.options.seed)
        self._users = [f"user {number}; 知" for number in range(report.options.users)]

    def fill(self) -> None:
        """Open the average number of streams."""
        expected = self._report.options.streams
        for begin in range(0, expected, AT_ONCE):
            for number in range(begin, min(begin + AT_ONCE, expected)):
                self._open(self._users[number % len(self._users)])
            self._wait_settled()

    def churn(self, show: Callable[[str], None]) -> None:
        """Open and close at random, about equally often."""
        options, began, done, reported = self._report.options, time.monotonic(), 0, 0.0
        while (passed := time.monotonic() - began) < options.seconds:
            while done < passed * options.rate:
                self._change()
                done += 1
            self.devices = [device for device in self.devices if not self._is_over(device)]
            if passed - reported >= REPORTED:
                reported = passed
                show(f"{passed:.0f} s: {len(self.devices)} streams, registry off by {self._apart()}")
            self._report.apart.append(len(self._apart_ids()))
            time.sleep(TURN)
        self._wait_settled()

    def truth(self) -> set[str]:
        """The open connections, as their clients know them."""
        return {
            str(device.received[0].json["connection_id"]) for device in self.devices if device.open and device.received
        }

    def wait_equal(self, when: str) -> float | None:
        """Wait until the registry equals the truth, and return the seconds."""
        began = time.monotonic()
        try:
            wait_until(lambda: not self._apart_ids(), SETTLE, lambda: f"{when}, the registry is off by {self._apart()}")
        except AssertionError as exc:
            self._report.failures.append(str(exc))
            return None
        return time.monotonic() - began

    def close_all(self) -> None:
        """End all streams at once."""
        for device in self.devices:
            device.close()
        wait_until(lambda: not any(device.open for device in self.devices), SETTLE, "some streams do not end")

    def _open(self, user: str) -> None:
        stack = self._running.stack
        url = self._chance.choice(stack.urls)
        self.devices.append(self._running.browsers.open(url, stack.token(user), reconnect=False))
        self._report.opened += 1

    def _change(self) -> None:
        if self._chance.random() * 2 * self._report.options.streams > len(self.devices):
            self._open(self._chance.choice(self._users))
        elif self.devices:
            position = self._chance.randrange(len(self.devices))
            self.devices[position], self.devices[-1] = self.devices[-1], self.devices[position]
            self.devices.pop().close()
            self._report.closed += 1

    def _is_over(self, device: Device) -> bool:
        self._report.evicted += device.done and bool(device.named("closing"))
        self._report.refused += device.done and not device.named("closing")
        return device.done

    def _wait_settled(self) -> None:
        wait_until(
            lambda: all(device.done or (device.open and device.received) for device in self.devices),
            SETTLE,
            "some streams neither open nor end",
        )
        self.devices = [device for device in self.devices if not self._is_over(device)]

    def _apart_ids(self) -> set[str]:
        return registered(self._running.database) ^ self.truth()

    def _apart(self) -> str:
        rows, truth = registered(self._running.database), self.truth()
        return f"+{len(rows - truth)} -{len(truth - rows)}"


def registered(database: Database) -> set[str]:
    """Read the registry's rows of open connections."""
    with database.autocommit() as db:
        ids = db.scalars(select(ConnectionRow.connection_id).where(ConnectionRow.ended_at.is_(None)))
        return {connection_name(connection_id) for connection_id in ids}


def compare_with_api(running: Service, crowd: Crowd, report: Report) -> None:
    """Compare the status over REST as well."""
    status = running.ask("GET", "/api/sse/status", scope=ADMIN).json()
    if status["total_connections"] != len(crowd.truth()):
        report.failures.append(f"{len(crowd.truth())} streams are open, {status['total_connections']} counted")


@contextmanager
def scene(kind: str, data_dir: Path) -> Iterator[Service]:
    """Start two nodes with the default limit, and browsers."""
    with ExitStack() as running:
        browsers = running.enter_context(Browsers())
        postgres = running.enter_context(cluster() if kind == "postgresql" else nullcontext())
        url = postgres.create("churn") if postgres else f"sqlite:///{data_dir / 'shirase.db'}"
        migrate(url)
        env = {"SSE_MAX_CONNECTIONS_PER_USER": "5", "LOG_LEVEL": "WARNING"}
        stack = running.enter_context(Stack(url, data_dir, workers=WORKERS, nodes=NODES, env=env))
        yield running.enter_context(service(stack, browsers))


def _shown(seconds: float | None) -> str:
    return "never" if seconds is None else f"{seconds:.2f} s"
