"""``python -m bench.beside``: Shirase beside its peers, where ``CENTRIFUGO`` and ``MERCURE`` name their programs.

It measures what they have in common, in a few minutes, and prints one short table.
"""

import os
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

from bench import measures, peers, run
from bench.__main__ import print_progress
from bench.designs import Design, Shirase
from bench.load import Lost
from bench.measures import Figures, Size
from bench.run import MEMORY, ORIGIN, POSTGRESQL, PUSHPIN, RETURNS, Report
from tests.support.postgres import cluster

Makers = Mapping[str, Callable[[], Design]]
Results = Mapping[str, Mapping[str, Figures]]  # by measure and design
Cell = Callable[[Figures], str]


def measure(round_of: Callable[[int], Makers], size: Size, report: Report) -> Results:
    """Measure the designs in turns; a figure is the median of its rounds.

    Raises:
        Lost: if anything accepted did not arrive.
    """
    rounds: dict[str, dict[str, list[Figures]]] = defaultdict(lambda: defaultdict(list))
    for number in range(size.rounds):
        for name, make in round_of(number).items():
            with make() as design:
                for kind, take in _measures(design, size):
                    report(f"round {number}: {name}: {kind}")
                    rounds[kind][name].append(take())
    return {kind: {name: _median(turns) for name, turns in of_design.items()} for kind, of_design in rounds.items()}


def _measures(design: Design, size: Size) -> Iterator[tuple[str, Callable[[], Figures]]]:
    yield "latency", partial(measures.latency, design, size)
    yield "creates", partial(measures.creates, design, size)
    if isinstance(design, Shirase):
        yield ORIGIN, partial(measures.creates_at_origin, design, size)
    yield "connects", partial(measures.connects, design, size)
    yield RETURNS, partial(measures.returns, design, size)


def table(results: Results) -> str:
    """Format the figures as Markdown."""
    names = list(results["connects"])
    rows = [["", *names], ["---"] * (1 + len(names))]
    for title, kind, show in _ROWS:
        of_design = results.get(kind, {})
        rows.append([title, *(show(of_design[name]) if name in of_design else "" for name in names)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in rows) + "\n"


def _rate(figures: Figures) -> str:
    return f"{figures['per_second']:,.0f}"


def _spent(figures: Figures) -> str:
    return f"{sum(figures[f'{part}_ms'] for part in ('python', 'proxy', 'database')):.2f}"


def _times(figures: Figures) -> str:
    return f"{figures['p50_ms']:.1f} / {figures['p99_ms']:.1f}"


def _returned(figures: Figures) -> str:
    return f"{figures['seconds']:.1f} s" + (f", {figures['lost']:,.0f} events lost" if figures["lost"] else "")


_ROWS: tuple[tuple[str, str, Cell], ...] = (
    ("creates a second", "creates", _rate),
    ("creates a second, at the origin", ORIGIN, _rate),
    ("processor ms a create", "creates", _spent),
    ("latency at 50 a second, ms p50 / p99", "latency", _times),
    ("connects a second", "connects", _rate),
    ("processor ms a connect", "connects", _spent),
    ("streams cut, one event each meanwhile: all back after", RETURNS, _returned),
)


def _median(turns: list[Figures]) -> Figures:
    return {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}


def main() -> int:
    """Print the table; exit with 1 if something was lost."""
    chosen = peers.programs(os.environ, print_progress)
    try:
        with (
            cluster(run.DURABLE) as postgres,
            tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory,
        ):

            def round_of(number: int) -> Makers:
                place = Path(directory) / f"beside_{number}"
                own = run.designs(postgres, place)
                return (
                    {name: own[name] for name in (POSTGRESQL, MEMORY)}
                    | peers.designs(chosen, postgres, place)
                    | {PUSHPIN: own[PUSHPIN]}
                )

            results = measure(round_of, Size(rounds=2), print_progress)
    except Lost as lost:
        sys.stderr.write(f"lost: {lost}\n")
        return 1
    sys.stdout.write(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
