"""``python -m bench.nodes``: what a create costs with 1, 2 and 4 nodes, and beside a node that hangs.

All run side by side on one PostgreSQL and take turns. Producers send to the handlers, and the same number of users
listens, spread over the nodes. Then every program of one of four nodes is stopped, and the others' users get creates.
"""

import argparse
import os
import signal
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.designs import Shirase
from bench.load import Answered, send, streams
from bench.run import DURABLE
from shirase.store.migrate import migrate
from tests.support.loop_thread import wait_until
from tests.support.postgres import Cluster, cluster

NUMBERS = (1, 2, 4)
LISTENERS = 48  # users, each with a stream
CLIENTS = 8
PAUSE = 50.0  # milliseconds between the requests of a client beside the node that hangs
STATS_TTL = 3  # seconds; short, so that the relay soon knows which node holds what
SETTLED = 60.0  # seconds until it must know
HANGING = 10.0  # seconds after which what hangs has lost its statistics

Costs = dict[str, float]  # milliseconds of processor time for a create, by part


class Nodes(Shirase):
    """The service with some nodes."""

    def __init__(self, database_url: str, directory: Path, postgres: Cluster, number: int) -> None:
        super().__init__(f"{number} nodes", database_url, directory, postgres, nodes=number, stats_ttl=STATS_TTL)
        self._number = number

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Hold a stream of each user, at the nodes in turn, and wait until the relay knows all of them."""
        with ExitStack() as held:
            for node, url in enumerate(self.stack.urls):
                held.enter_context(streams(url.removeprefix("http://"), map(self.stream, self.users(node))))
            marks = "connections WHERE user_id = '' AND ended_at > now()"
            if self._number > 1:
                wait_until(lambda: self.count(marks) == self._number, SETTLED, "the relay does not know all streams")
            yield

    def users(self, node: int) -> list[str]:
        """Return those whose streams the node holds."""
        return [f"listener-{n}" for n in range(LISTENERS) if n % self._number == node]

    def create_for(self, users: list[str], seconds: float, pause: float = 0) -> Answered:
        """Create for these users in turn."""
        requests = [self.create([user], n) for n, user in enumerate(users)]
        return send(self.origin, requests, clients=CLIENTS, seconds=seconds, pause_ms=pause).all_as(201)

    def cost(self, seconds: float) -> Costs:
        """Measure processor time at full load."""
        used = self.processor_seconds()
        answered = self.create_for([user for node in range(self._number) for user in self.users(node)], seconds)
        return {part: (now - used[part]) * 1000 / answered.finished for part, now in self.processor_seconds().items()}

    def stop(self, node: int, number: signal.Signals) -> None:
        """Signal every program of a node."""
        for pid in self.stack.pushpin_programs(node).values():
            os.kill(pid, number)


def main() -> None:
    """Measure, and print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1.0, help="of a turn")
    parser.add_argument("--rounds", type=int, default=20)
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory,
        cluster(DURABLE) as postgres,
        ExitStack() as running,
    ):
        designs = []
        for number in NUMBERS:
            url = postgres.create(f"nodes_{number}")
            migrate(url)
            designs.append(running.enter_context(Nodes(url, Path(directory) / str(number), postgres, number)))
        for design in designs:
            running.enter_context(design.listening())
            design.cost(1)  # warm
        for line in (*_growth(designs, options.seconds, options.rounds), *_beside_hung(designs[-1], options.seconds)):
            sys.stdout.write(f"{line}\n")


def _growth(designs: list[Nodes], seconds: float, rounds: int) -> Iterator[str]:
    """Each round has its own ratios, since the machine's speed changes from one to the next."""
    costs: dict[str, list[Costs]] = defaultdict(list)
    for _ in range(rounds):
        for design in designs:
            costs[design.name].append(design.cost(seconds))
    single = [sum(turn.values()) for turn in costs[designs[0].name]]
    for name, turns in costs.items():
        totals = [sum(turn.values()) for turn in turns]
        parts = ", ".join(f"{part} {statistics.median(turn[part] for turn in turns):.2f}" for part in turns[0])
        ratio = statistics.median(total / least for total, least in zip(totals, single, strict=True))
        cost = f"{statistics.median(totals):.2f} ms of a processor a create ({parts})"
        yield f"{name}: {cost}, {ratio:.2f} times that of one"


def _beside_hung(design: Nodes, seconds: float) -> Iterator[str]:
    others = [user for node in range(len(design.stack.urls) - 1) for user in design.users(node)]
    last = len(design.stack.urls) - 1
    yield _shown("no node hangs", design.create_for(others, seconds * 2, PAUSE))
    design.stop(last, signal.SIGSTOP)
    try:
        yield _shown("one of four hangs, at first", design.create_for(others, HANGING, PAUSE))
        yield _shown("one of four hangs, then", design.create_for(others, seconds * 2, PAUSE))
    finally:
        design.stop(last, signal.SIGCONT)


def _shown(what: str, answered: Answered) -> str:
    each = f"p50 {answered.p50_ms:.1f} ms, p99 {answered.p99_ms:.1f} ms, at most {answered.max_ms:.0f} ms"
    return f"{what}: {answered.finished} creates at {answered.finished / answered.seconds:.0f} a second, {each}"


if __name__ == "__main__":
    main()
