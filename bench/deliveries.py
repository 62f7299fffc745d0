"""``python -m bench.deliveries``: mail for very many within one minute, by two relays, beside the inbox at 50 a second.

On both databases. Each delivery must arrive once. It compares the inbox's latency before, meanwhile and afterwards, and
the relays' memory early and at the end.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson
from sqlalchemy import text

from bench import measures
from bench.designs import CONTENT, Shirase
from bench.load import Lost, request, send
from bench.machine import memory_kb, processor_seconds
from bench.measures import Size
from shirase.store.migrate import migrate
from shirase.store.tables import Moment
from tests.support.postgres import cluster

KIND = "bench.mailed"
AT_ONCE = 10_000  # users of one broadcast
SPAN = 60.0  # seconds over which they become due
RELAYS = 2
LONGEST = 3600.0
CONTACTS = {
    "postgresql": "INSERT INTO shirase_contacts (user_id, email)"
    " SELECT 'mailed-' || n, n || '@example.org' FROM generate_series(0, {number} - 1) AS n",
    "sqlite": "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {number} - 1)"
    " INSERT INTO shirase_contacts (user_id, email) SELECT 'mailed-' || n, n || '@example.org' FROM numbers",
}
DUE = {
    "postgresql": "UPDATE shirase_deliveries SET due_at = CAST(:now AS timestamptz) + random() * interval '{span} s'",
    "sqlite": "UPDATE shirase_deliveries SET due_at = strftime('%Y-%m-%dT%H:%M:%f', :now,"
    " printf('+%.3f seconds', abs(random() % ({span} * 1000)) / 1000.0)) || '000Z'",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of a run."""

    number: int = 100_000
    span: float = SPAN
    creates: int = 500  # in one measurement of the latency


QUICK = Plan(number=200, span=1, creates=10)


@dataclass(frozen=True, slots=True)
class Result:
    """The figures of one database."""

    seconds: float  # until the last one was sent
    before: list[float]  # p50 and p99 of the inbox's latency in ms
    during: list[float]
    after: list[float]
    memory: list[int]  # KB of the relays together: when a tenth was sent, and at the end
    processor: float  # seconds of the relays together

    @property
    def times(self) -> float:
        """How much longer the median took meanwhile."""
        return self.during[0] / statistics.mean([self.before[0], self.after[0]])


def main() -> None:
    """Measure, and print some lines a database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=Plan().number, help="of deliveries (100,000)")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="both by default")
    options = parser.parse_args()
    for name in [options.database] if options.database else ["sqlite", "postgresql"]:
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
            result = measure(name, Path(directory), Plan(number=options.number))
        rate = options.number / result.seconds
        sys.stdout.write(
            f"{name}: {options.number} sent once each, the last after {result.seconds:.0f} s, {rate:.0f}/s,"
            f" {result.processor / options.number * 1000:.2f} ms of the relays' processor time each\n"
        )
        for what in ("before", "during", "after"):
            p50, p99 = getattr(result, what)
            sys.stdout.write(f"  latency {what}: {p50:.1f} ms, p99 {p99:.1f} ms\n")
        early, late = result.memory
        sys.stdout.write(f"  {result.times:.2f} times; memory of the relays: {early} KB early, {late} KB at the end\n")
        sys.stdout.flush()


def measure(database: str, directory: Path, plan: Plan) -> Result:
    """Run on one database.

    Raises:
        Lost: if one does not arrive, or arrives twice.
    """
    with cluster() as running, _sink() as sink:
        url = running.create("mailed") if database == "postgresql" else f"sqlite:///{directory / 'shirase.db'}"
        migrate(url)
        env = {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(sink.port),
            "SMTP_SECURITY": "none",
            "MAIL_FROM": "noreply@example.com",
            "MAIL_WINDOW": "0",
            "PUBLIC_URL": "https://example.com",
        }
        of_service = running if database == "postgresql" else None
        with Shirase(database, url, directory / "service", of_service, relays=RELAYS, env=env) as design:
            return _measure(design, sink, plan)


def _measure(design: Shirase, sink: "_Sink", plan: Plan) -> Result:
    _prepare(design, plan.number)
    before = [_latency(design, plan) for _ in range(2)]
    with design.engine.begin() as db:
        now = datetime.now(UTC)
        due = text(DUE[db.dialect.name].format(span=int(plan.span)))
        db.execute(due, {"now": Moment().process_bind_param(now, db.dialect)})
    began = time.monotonic()
    watching = _Watch(design, sink, plan.number)
    watching.start()
    during = [_latency(design, plan)]
    while watching.is_alive():
        during.append(_latency(design, plan))
    watching.join()
    after = [_latency(design, plan) for _ in range(2)]
    counts = sink.counts()
    states = design.count("deliveries WHERE state = 'sent' AND attempts = 1")
    if counts != {"different": plan.number, "all": plan.number} or states != plan.number:
        raise Lost(f"{plan.number} were due, the server has {counts}, and {states} are recorded")
    middle = during[:-1] or during  # the last one ends after the last mail
    seconds, latencies = watching.ended - began, (_median(before), _median(middle), _median(after))
    return Result(seconds, *latencies, watching.memory, watching.processor)


def _median(rounds: list[list[float]]) -> list[float]:
    return [statistics.median(figures) for figures in zip(*rounds, strict=True)]


def _prepare(design: Shirase, number: int) -> None:
    """Store the deliveries by broadcasts, due in a day."""
    admin = design.stack.token("admin", "notifications:admin notifications:write")
    entry = {"label": "Mailed", "description": "", "channels": [{"channel": "email", "after": "1d"}]}
    send(design.origin, [request("PUT", f"/api/types/{KIND}", admin, orjson.dumps(entry))], count=1).all_as(200)
    with design.engine.begin() as db:
        db.execute(text(CONTACTS[db.dialect.name].format(number=number)))
    for first in range(0, number, AT_ONCE):
        users = [f"mailed-{n}" for n in range(first, min(first + AT_ONCE, number))]
        body = orjson.dumps({**CONTENT, "type": KIND, "user_ids": users})
        send(design.origin, [request("POST", "/api/notifications/broadcast", admin, body)], count=1).all_as(201)
    with design.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        db.execute(text("ANALYZE"))


def _latency(design: Shirase, plan: Plan) -> list[float]:
    figures = measures.latency(design, Size(lone=plan.creates, settling=1, warming=4))
    return [figures["p50_ms"], figures["p99_ms"]]


class _Watch(threading.Thread):
    """Waits until the sink has everything, and samples the relays' memory and processor time."""

    def __init__(self, design: Shirase, sink: "_Sink", number: int) -> None:
        super().__init__(daemon=True)
        self._design, self._sink, self._number = design, sink, number
        self.ended = 0.0
        self.memory: list[int] = []
        self.processor = -processor_seconds(design.relays())

    def run(self) -> None:
        """Until all have arrived, or for an hour."""
        deadline = time.monotonic() + LONGEST
        while time.monotonic() < deadline:
            arrived = self._sink.counts()["all"]
            if not self.memory and arrived >= self._number / 10:
                self.memory.append(memory_kb(self._design.relays()))
            if arrived >= self._number:
                break
            time.sleep(1)
        self.memory = [*self.memory, memory_kb(self._design.relays())]
        self.processor += processor_seconds(self._design.relays())
        self.ended = time.monotonic()


class _Sink:
    """The mail server."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._lock = threading.Lock()
        assert process.stdout
        self.port = int(process.stdout.readline())

    def counts(self) -> dict[str, int]:
        """How many different deliveries have arrived, and how many in all."""
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
            counted: dict[str, int] = json.loads(self._process.stdout.readline())
        return counted


@contextmanager
def _sink() -> Iterator[_Sink]:
    words = [sys.executable, "-m", "bench.mail_sink"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield _Sink(process)
        finally:
            process.kill()


if __name__ == "__main__":
    main()
