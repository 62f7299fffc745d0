"""A run: the designs take turns, so that the machine's noise affects all of them."""

import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from bench import ceilings, disturbances, growth, held, measures
from bench.announcements import announcement
from bench.designs import Design, InMemory, PushpinAlone, Shirase
from bench.machine import model
from bench.measures import Figures, Size
from shirase.store.migrate import migrate
from tests.support.postgres import OPTIONS, Cluster, cluster

# As in production, commits reach the disk. A large WAL keeps checkpoints out of the measurements.
DURABLE = {**OPTIONS, "fsync": "on", "full_page_writes": "on", "max_wal_size": "8GB", "shared_buffers": "1GB"}
POSTGRESQL, SQLITE = "Shirase, PostgreSQL", "Shirase, SQLite"
MEMORY, PUSHPIN, BARE = "in-memory", "Pushpin alone", "bare commit"
ORIGIN = "creates at the origin"
ANNOUNCEMENT = "announcement, at open streams"
RETURNS = "returns after a cut"
WHILE_OPENING, WHILE_OPENING_ORIGIN = "latency while streams open", "the same, created at the origin"

Report = Callable[[str], None]
Table = dict[str, dict[str, list[Figures]]]  # by measure and design, one per round


def run(size: Size, directory: Path, report: Report) -> dict[str, Any]:
    """Measure everything.

    Raises:
        Lost: if anything accepted did not arrive.
    """
    with cluster(DURABLE) as postgres:
        return {
            "machine": model(),
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "size": {name: getattr(size, name) for name in size.__dataclass_fields__},
            "figures": measure_turns(postgres, directory, size, report),
            "held": measure_held(postgres, directory / "held", size, report),
            "growth": measure_growth(postgres, directory / "growth", size, report),
        }


def measure_turns(postgres: Cluster, directory: Path, size: Size, report: Report) -> dict[str, dict[str, Figures]]:
    """Measure all designs in several rounds, and return the medians by measure and design."""
    rounds: Table = defaultdict(lambda: defaultdict(list))
    for number in range(size.rounds):
        _one_round(postgres, directory / str(number), size, rounds, report)
    return {
        measure: {design: _median(turns) for design, turns in of_design.items()}
        for measure, of_design in rounds.items()
    }


def measure_held(postgres: Cluster, directory: Path, size: Size, report: Report) -> dict[str, dict[str, Any]]:
    """Measure the cost of held streams, by design."""
    result = {}
    for name, make in designs(postgres, directory).items():
        if name != SQLITE:  # Pushpin holds its streams as with PostgreSQL
            with make() as design:
                report(f"held streams: {name}")
                result[name] = held.hold(design, size)
    return result


def measure_growth(postgres: Cluster, directory: Path, size: Size, report: Report) -> dict[str, dict[str, Any]]:
    """Measure milliseconds by database, number of rows, growing or small, and kind of request."""
    result = {}
    growing, staying = designs(postgres, directory), designs(postgres, directory.with_name("small"))
    for name in (POSTGRESQL, SQLITE):
        with growing[name]() as grown, staying[name]() as small:
            assert isinstance(grown, Shirase)
            assert isinstance(small, Shirase)
            report(f"growth: {name}")
            result[name] = growth.grow(grown, small, size)
    return result


def _one_round(postgres: Cluster, directory: Path, size: Size, rounds: Table, report: Report) -> None:
    report(f"round {directory.name}: {BARE}")
    for measure, figures in ceilings.bare_inserts(_created(postgres, directory, "bare"), size).items():
        rounds[measure][BARE].append(figures)
    for make in designs(postgres, directory).values():
        with make() as design:
            measures.settle(design, size)
            for measure, take in _measures(design, size):
                report(f"round {directory.name}: {design.name}: {measure}")
                rounds[measure][design.name].append(take())


def _measures(design: Design, size: Size) -> Iterator[tuple[str, Callable[[], Figures]]]:
    yield "latency", partial(measures.latency, design, size)
    yield "creates", partial(measures.creates, design, size)
    if not isinstance(design, InMemory):
        for batch in size.batches:
            yield f"batches of {batch}", partial(measures.creates, design, size, batch)
    if isinstance(design, Shirase):
        yield ORIGIN, partial(measures.creates_at_origin, design, size)
        yield "broadcast", partial(measures.broadcast, design, size)
    if isinstance(design, PushpinAlone):
        yield "broadcast", partial(measures.publish_many, design, size)
    yield "fan-out", partial(measures.fan_out, design, size)
    yield "connects", partial(measures.connects, design, size)
    if design.keeps_log:
        yield "connects with replay", partial(measures.connects, design, size, size.replayed)
    yield RETURNS, partial(measures.returns, design, size)
    if isinstance(design, Shirase):
        yield WHILE_OPENING, partial(disturbances.while_streams_open, design, size, at_origin=False)
        yield WHILE_OPENING_ORIGIN, partial(disturbances.while_streams_open, design, size, at_origin=True)
        yield ANNOUNCEMENT, partial(announcement, design, size)


def designs(postgres: Cluster, directory: Path) -> dict[str, Callable[[], Design]]:
    """Return the designs, each with its own database, created when it is used."""
    return {
        MEMORY: lambda: InMemory(MEMORY, _created(postgres, directory, "memory"), directory / "memory", postgres),
        POSTGRESQL: lambda: Shirase(
            POSTGRESQL, _migrated(_created(postgres, directory, "shirase")), directory / "p", postgres
        ),
        SQLITE: lambda: Shirase(SQLITE, _migrated(f"sqlite:///{_made(directory)}/shirase.db"), directory / "s", None),
        PUSHPIN: lambda: PushpinAlone(PUSHPIN, directory / "pushpin"),
    }


def _created(postgres: Cluster, directory: Path, name: str) -> str:
    return postgres.create(f"{name}_{directory.name}")


def _migrated(url: str) -> str:
    migrate(url)
    return url


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _median(turns: list[Figures]) -> Figures:
    return {name: statistics.median(turn[name] for turn in turns) for name in turns[0]}
