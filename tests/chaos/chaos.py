"""One run: producers write while a plan breaks one part after the other; then everything is compared with the log."""

import random
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from sqlalchemy import select

from shirase.access.tokens import WRITE
from shirase.errors import DatabaseUnavailable
from shirase.store.tables import ScheduledRow
from tests.chaos.faults import planned
from tests.chaos.plan import S, Step
from tests.chaos.producers import GIVE_UP, Account, Producer
from tests.chaos.scene import DEVICES, Watched, scene
from tests.chaos.verdict import (
    Row,
    Verdict,
    first_edition_count,
    inbox_of,
    incomplete,
    is_complete,
    judge,
    last_count,
    read_log,
    trace,
)
from tests.support.loop_thread import wait_until

PRODUCERS = 4
SETTLE = 90.0  # seconds until every device must have everything: above Pushpin's longest retry
CHECK = 0.2  # seconds between two checks
PAGE = 200
SHOWN = 3  # of the recoveries, the longest


@dataclass(frozen=True)
class Options:
    """What to run."""

    seed: int
    seconds: float
    database: str
    users: int = 12
    nodes: int = 2


@dataclass
class Report:
    """What was done, and the results."""

    options: Options
    steps: list[str] = field(default_factory=list)
    died: Counter[str] = field(default_factory=Counter)  # parts that ended without being killed
    account: Account = field(default_factory=Account)
    verdict: Verdict = field(default_factory=Verdict)
    failures: list[str] = field(default_factory=list)
    recoveries: list[tuple[float, str]] = field(
        default_factory=list
    )  # seconds until everything was delivered, and after which fault
    connections: int = 0
    renewals: int = 0  # EventSources that pages created again after a status other than 200

    @property
    def passed(self) -> bool:
        return not self.failures

    def __str__(self) -> str:
        """Format the figures."""
        verdict, account = self.verdict, self.account
        late = sorted(verdict.latencies) or [0.0]
        percent = quantiles(late, n=100) if len(late) > 1 else late * 99
        lines = [
            f"seed {self.options.seed}, {self.options.database}, {len(self.steps)} steps",
            f"requests: {dict(account.requests)}, repeated after: {dict(account.repeats)}",
            f"events in the log: {verdict.events}, delivered: {verdict.deliveries}",
            f"connections: {self.connections}, {self.renewals} of them created again by the page",
            f"from commit to device: median {median(late):.3f} s, 95 % {percent[94]:.2f} s, maximum {late[-1]:.1f} s",
            f"longest times until all was delivered: {_longest(self.recoveries)}",
            "  ".join(f"{what}: {count}" for what, count in verdict.count().items()),
        ]
        if self.died:
            lines.append(f"ended without being killed: {dict(self.died)}")
        return "\n".join(lines + self.failures)


def _longest(recoveries: list[tuple[float, str]]) -> str:
    longest = sorted(recoveries, reverse=True)[:SHOWN]
    return ", ".join(f"{seconds:.1f} s ({after})" for seconds, after in longest) or "-"


def run(options: Options, report_step: Callable[[str], None]) -> Report:
    """Run and compare; ``report_step`` receives each step."""
    report = Report(options)
    with (
        tempfile.TemporaryDirectory(prefix="shirase-chaos-", ignore_cleanup_errors=True) as directory,
        scene(options.database, Path(directory), options.users, options.nodes) as running,
    ):
        steps = planned(options.seed, options.seconds, options.database)
        write_and_break(running, steps, report, report_step)
        compare(running, report)
        if not report.passed:
            report.failures.append(f"seed {options.seed}; the ends of the logs:\n{running.stack.logs()}")
    return report


def write_and_break(
    running: S, steps: Iterable[Step[S]], report: Report, report_step: Callable[[str], None], bound: float = SETTLE
) -> None:
    """Execute the steps one after the other while producers write.

    After each that silence follows, every device must be back, with everything, within ``bound`` seconds.
    """
    options, write = report.options, threading.Event()
    write.set()
    producers = [Producer(running, f"{options.seed}/{n}", write, report.account) for n in range(PRODUCERS)]
    for producer in producers:
        producer.start()
    chance, began = random.Random(options.seed), time.monotonic()
    try:
        for step in steps:
            report.steps.append(f"{time.strftime('%H:%M:%S')} {time.monotonic() - began:6.1f} s: {step}")
            report_step(report.steps[-1])
            execute(step, running, chance, write)
            report.died.update(running.stack.restart_ended())
            if step.silence:
                wait_complete(running, report, step.name, bound)
                write.set()
    finally:
        for producer in producers:
            producer.stop()
        write.set()
        for producer in producers:
            producer.join(GIVE_UP + 10)
    running.stack.wait_ready()
    wait_until(lambda: nothing_scheduled(running), SETTLE, lambda: "what was scheduled is not sent")
    wait_until(lambda: not unspread(running, report.account), SETTLE, lambda: str(unspread(running, report.account)))
    wait_complete(running, report, "the end", bound)


def nothing_scheduled(running: Watched) -> bool:
    """Whether everything scheduled has been sent."""
    with running.service.database.autocommit() as db:
        return db.execute(select(ScheduledRow.id).limit(1)).first() is None


def unspread(running: Watched, account: Account) -> dict[int, Any]:
    """Each announcement that has not reached everyone by its own count, or is not deleted, and its state."""
    result = {}
    for number in sorted(account.announced):
        answer = running.service.ask("GET", f"/api/announcements/{number}", scope=WRITE)
        state = answer.json() if answer.is_success else {"reached": answer.status_code}
        # The stream that finds out whether the service is ready is of one more user.
        expected = (404,) if number in account.deleted else (len(running.users), len(running.users) + 1)
        if state["reached"] not in expected:
            result[number] = {name: state.get(name) for name in ("reached", "waiting", "created_at")}
    return result


def execute(step: Step[S], running: S, chance: random.Random, write: threading.Event) -> None:
    """Wait, break, let it last, repair. Silence begins while the parts are still broken."""
    time.sleep(step.calm)
    with ExitStack() as broken:
        for kind in step.kinds:
            broken.enter_context(kind.fault(running, chance))
        time.sleep(step.lasts)
        if step.silence:
            write.clear()


def wait_complete(running: Watched, report: Report, after: str, bound: float) -> None:
    """Wait until every device is connected and has everything that is committed."""
    began = time.monotonic()
    logs: dict[str, list[Row]] = {}

    def complete() -> bool:
        # Read each time: a request in progress when the silence began may still delete what a device lacks.
        try:
            logs.update(read_log(running.service.database))
        except DatabaseUnavailable:
            return False
        return all(
            device.open and is_complete(logs.get(user, []), device)
            for user in running.users
            for device in running.devices[user]
        )

    try:
        wait_until(complete, bound, lambda: f"after {after}:\n{incomplete(logs, running.devices)}", CHECK)
    except AssertionError as exc:
        report.failures.append(str(exc))
    report.recoveries.append((time.monotonic() - began, after))


def compare(running: Watched, report: Report) -> None:
    """Compare everything with the log."""
    logs, devices = read_log(running.service.database), running.devices
    report.verdict = judge(logs, devices)
    report.connections = sum(device.connections for device in running.all_devices())
    report.renewals = sum(device.refusals for device in running.all_devices())
    if report.verdict.wrong:
        report.failures.append(trace(report.verdict.wrong[0], logs, devices))
    report.failures += report.account.surprises[:5]
    made = sum(row.kind == "notification" for user in running.users for row in logs.get(user, []))
    confirmed, account = sum(report.account.created.values()), report.account
    everyone = len(running.users)
    least = confirmed + account.scheduled + everyone * len(account.announced - account.deleted)
    most = confirmed + account.attempted + everyone * len(account.announced)
    if not least <= made <= most:
        expected = f"{least} to {most} notifications were confirmed or announced"
        report.failures.append(f"{expected}, {made} are in the log")
    for user in devices:
        compare_with_rest(running, user, report)
    compare_with_registry(running, report)


def compare_with_registry(running: Watched, report: Report) -> None:
    """Compare the counted connections with the open ones."""

    def counted() -> list[int]:
        return [
            running.service.ask("GET", "/api/sse/status", user).json()["user_connections"] for user in running.users
        ]

    def open_now() -> list[int]:
        return [sum(device.open for device in running.devices[user]) for user in running.users]

    try:
        wait_until(
            lambda: counted() == open_now(), SETTLE, lambda: f"{open_now()} streams are open, {counted()} counted"
        )
    except AssertionError as exc:
        report.failures.append(str(exc))


def compare_with_rest(running: Watched, user: str, report: Report) -> None:
    """Compare what each device would show with the list and the count over REST."""
    stored: dict[int, tuple[bool, int]] = {}
    query: dict[str, int] = {"limit": PAGE}
    while True:
        page = running.service.ask("GET", "/api/notifications", user, params=query).json()
        stored |= {
            notification["id"]: (notification["is_read"], notification["revision"])
            for notification in page["notifications"]
        }
        if page["next_before"] is None:
            break
        query["before"] = page["next_before"]
    for number, device in enumerate(running.devices[user][:DEVICES]):  # those that were open from the beginning
        if inbox_of(device) != stored:
            report.failures.append(f"device {number} of {user!r} shows another list than REST")
        if last_count(device) != page["unread_count"]:
            shown = last_count(device)
            report.failures.append(f"device {number} of {user!r} shows {shown} unread, REST {page['unread_count']}")
        if first_edition_count(device) != page["unread_count"]:
            report.failures.append(f"device {number} of {user!r} shows another count to a client of the first edition")
