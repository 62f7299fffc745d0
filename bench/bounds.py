"""``python -m bench.bounds``: what bounds a connect, a create and a crowd of streams, by removing parts.

Milliseconds of processor time of each program, for streams that open at full load and are read again by the proxy a
second later, and for creates at the origin; and for crowds how long they take. The variants take turns.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench import measures
from bench.__main__ import print_progress
from bench.designs import LISTENING, SETTLED, Design, PushpinAlone, Shirase
from bench.disturbances import while_streams_open
from bench.load import Lost, send, streams
from bench.machine import processor_seconds, thread_seconds
from bench.measures import user
from bench.run import DURABLE
from shirase.run.processes import Child, gunicorn_command
from shirase.run.readiness import wait_for_stream
from shirase.store.migrate import migrate
from tests.support.postgres import Cluster, cluster

PROGRAMS = (
    "condure",
    "pushpin-connmgr",
    "pushpin-proxy",
    "zurl",
    "pushpin-handler",
    "standby",
    "handlers",
    "relay",
    "PostgreSQL",
)
WITHOUT_ROWS = ("the publish", "the database", "our handler")  # the relay would make up for what is missing
NOTHING = "nothing"
PUSHPIN_AGAIN, PUSHPIN = "all but Pushpin, nginx answers", "and the second request"
OF_CONNECT = (NOTHING, "announcements", "the second request", "the database", "our handler", PUSHPIN_AGAIN, PUSHPIN)
OF_CREATE = (NOTHING, "the publish", "the database", "our handler")
OF_CROWD = (NOTHING, "our handler", PUSHPIN_AGAIN, PUSHPIN)
IN_FLIGHT, CLIENTS = 32, 16
ENOUGH = 0.9  # of the streams: Pushpin cancels some on a busy machine, and their cost is the same

Times = dict[str, float]  # by program, and ``ALL``
ALL = "all"
Results = Mapping[str, Mapping[str, Times]]  # by kind, and by what was removed


class Without(Shirase):
    """The service without a part of the handlers (``bench.without``)."""

    def __init__(self, part: str, directory: Path, postgres: Cluster) -> None:
        url = postgres.create(directory.name)
        migrate(url)
        super().__init__(f"without {part}", url, directory, postgres)
        command = [*gunicorn_command(self.origin, 2)[:-1], "bench.without:app"]
        environ = {**os.environ, **self.stack.settings_env, "PYTHONPATH": os.pathsep.join(sys.path)}
        mark = f"{directory.resolve()}/gunicorn"
        self._gunicorn = Child("gunicorn", command, environ | {"BENCH_WITHOUT": part}, mark)
        self._part = part
        self.recovers = part not in WITHOUT_ROWS

    @contextmanager
    def _running(self) -> Iterator[None]:
        with super()._running(), (self.stack.log_dir / "without.log").open("ab") as log:
            self.stack.stop_gunicorn()
            if self._part in WITHOUT_ROWS:
                self.stack.kill_relay()
            self._gunicorn.start(log)
            try:
                if not wait_for_stream(self.stack.url, lambda: self.stack.ticket("probe"), SETTLED, lambda: True):
                    raise TimeoutError(f"no stream\n{self.stack.logs()}")
                yield
            finally:
                self._gunicorn.kill()


class PushpinRecovering(PushpinAlone):
    """Pushpin alone, which reads each stream again, as it does ours. Listeners take events without a place."""

    hold = f"""
        set $who $arg_u;
        set $place "; prev-id=0";
        if ($http_grip_last ~ "^.-([^;]+)") {{ set $who $1; }}
        if ($who ~ "^{LISTENING}") {{ set $place ""; }}
        add_header Grip-Channel "u-$who$place, c-$who; prev-id=0";
        add_header Grip-Link "</api/sse/next>; rel=next; timeout=3600";
        location /api/sse/next {{ return 200 ""; }}"""


@dataclass(frozen=True, slots=True)
class Size:
    """The size of a run."""

    rounds: int = 3
    count: int = 1000  # streams, and creates
    again: float = 2.5  # seconds in which the proxy has read every stream again
    parts: Sequence[str] = tuple(dict.fromkeys(OF_CONNECT + OF_CREATE))
    crowd: measures.Size = field(default_factory=measures.Size)


def connects(design: Design, size: Size) -> Times:
    """Milliseconds of a connect, of users who have a log."""
    requests = [design.stream(user(n)) for n in range(size.count)]
    for is_measured in (False, True):
        before = _used(design)
        with streams(design.address, requests, in_flight=IN_FLIGHT) as held:
            opened = held.opened
            if opened.open < size.count * ENOUGH:
                raise Lost(f"{opened.open} of {size.count} streams opened, {opened.failed} failed")
            time.sleep(size.again)
            after = _used(design)
        time.sleep(0 if is_measured else size.again)
    return _each(before, after, size)


def creates(design: Design, size: Size) -> Times:
    """Milliseconds of a create at the origin."""
    assert isinstance(design, Shirase)
    requests = [design.create([user(n)], n) for n in range(size.count)]
    for _ in range(2):  # the first for logs and caches
        before = _used(design)
        send(design.origin, requests, clients=CLIENTS, count=size.count).all_as(201)
        after = _used(design)
    return _each(before, after, size)


def crowds(design: Design, size: Size) -> Times:
    """How long streams that were cut at once take to return; and the delay of others' events while streams open."""
    back = measures.returns(design, size.crowd)
    figures = {f"{size.crowd.returning} back, s": back["seconds"], "failed": back["failed"]}
    if not isinstance(design, Without):  # which publishes nothing
        others = while_streams_open(design, size.crowd, at_origin=True)
        figures |= {"p50, ms": others["p50_ms"], "p99, ms": others["p99_ms"]}
        figures |= {f"while {size.crowd.opened} open, s": others["opened_s"]}
    return figures


def _used(design: Design) -> Times:
    """The processor seconds of each program so far."""
    pids: dict[str, list[int]] = defaultdict(list)
    for pid in design.parts()["proxy"]:
        with suppress(OSError):
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            pids[name if name in PROGRAMS else "handlers"].append(pid)  # nginx, in place of ours
    if isinstance(design, Shirase):
        pids["relay"] = design.relay()
        pids["handlers"] = [pid for pid in design.parts()["python"] if pid not in pids["relay"]]
        pids["PostgreSQL"] = design.parts()["database"]
    return {name: processor_seconds(pids[name]) for name in PROGRAMS} | {"standby": thread_seconds("standby")}


def _each(before: Times, after: Times, size: Size) -> Times:
    times = {name: (after[name] - before[name]) * 1000 / size.count for name in PROGRAMS}
    return times | {ALL: sum(times.values())}


KINDS: Mapping[str, tuple[Sequence[str], Callable[[Design, Size], Times]]] = {
    "a connect": (OF_CONNECT, connects),
    "a create": (OF_CREATE, creates),
    "a crowd": (OF_CROWD, crowds),
}


def measure(postgres: Cluster, directory: Path, size: Size) -> Results:
    """The medians; a turn in which something was lost is reported, and has no figures."""
    taken: dict[str, dict[str, list[Times]]] = {kind: defaultdict(list) for kind in KINDS}
    for number in range(size.rounds):
        for place, part in enumerate(size.parts):
            with _design(part, directory / f"bounds_{number}_{place}", postgres) as design:
                for kind, (_, take) in ((kind, of) for kind, of in KINDS.items() if part in of[0]):
                    print_progress(f"round {number}: {kind} without {part}")
                    try:
                        taken[kind][part].append(take(design, size))
                    except Lost as lost:
                        print_progress(f"lost: {lost}")
    return {kind: _medians(of_part) for kind, of_part in taken.items()}


def _design(part: str, directory: Path, postgres: Cluster) -> Design:
    if part == PUSHPIN:
        return PushpinAlone(part, directory)
    if part == PUSHPIN_AGAIN:
        return PushpinRecovering(part, directory)
    if part != NOTHING:
        return Without(part, directory, postgres)
    url = postgres.create(directory.name)
    migrate(url)
    return Shirase(part, url, directory, postgres)


def _medians(taken: Mapping[str, list[Times]]) -> dict[str, Times]:
    return {
        part: {name: statistics.median(times[name] for times in rounds) for name in rounds[0]}
        for part, rounds in taken.items()
        if rounds
    }


def table(kind: str, figures: Mapping[str, Times]) -> str:
    """The figures as Markdown."""
    names = list(dict.fromkeys(name for times in figures.values() for name in times))
    lines = [f"| {kind} without | {' | '.join(names)} |", "|---|" + "---|" * len(names)]
    for part, times in figures.items():
        cells = [f"{times[name]:.2f}" if times.get(name) else "" for name in names]
        lines.append(f"| {part} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Print a table for each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=1000, help="streams, and creates, of a round")
    options = parser.parse_args()
    with cluster(DURABLE) as postgres, tempfile.TemporaryDirectory(prefix="b-", ignore_cleanup_errors=True) as root:
        results = measure(postgres, Path(root), Size(options.rounds, options.count))
    sys.stdout.write("\n".join(table(kind, figures) for kind, figures in results.items()))


if __name__ == "__main__":
    main()
