"""The tables, and how far each figure is from its target."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from bench.run import ANNOUNCEMENT, BARE, MEMORY, ORIGIN, POSTGRESQL, PUSHPIN, SQLITE

BEGIN, END = "<!-- results: written by `make bench` -->\n", "<!-- end of results -->\n"
DESIGNS = (POSTGRESQL, SQLITE, MEMORY, PUSHPIN, BARE)


@dataclass(frozen=True, slots=True)
class Target:
    """A figure, its target, whether it is met, and the measured bound."""

    name: str
    value: str
    target: str
    met: bool
    bound: str = ""


def table(results: dict[str, Any]) -> str:
    """Format all tables as Markdown."""
    lines = [f"{results['machine']}, {results['date']}", ""]
    lines += _rows(["figure", *DESIGNS], _figures(results))
    lines += ["", *_rows(["", "Shirase on PostgreSQL", "target", "met", "bound"], _targets_rows(results))]
    lines += [
        "",
        *_rows(["milliseconds of a processor, each", "python", "proxy", "database", "load"], _shares(results)),
    ]
    return "\n".join(lines) + "\n"


def insert(table: str, page: str) -> str:
    """Return the page with its tables replaced by these."""
    before, _, rest = page.partition(BEGIN)
    return before + BEGIN + table + END + rest.partition(END)[2]


def targets(results: dict[str, Any]) -> Iterator[Target]:
    """Yield the targets."""
    figures = results["figures"]
    singles, memory = figures["creates"][POSTGRESQL], figures["creates"][MEMORY]["per_second"]
    yield _at_least("single creates, times the in-memory design's", singles["per_second"] / memory, 3, _cores(singles))
    origin = figures[ORIGIN][POSTGRESQL]
    yield _at_least("the same, asked without the proxy", origin["per_second"] / memory, 3, _cores(origin))
    yield _at_most("p99 of single creates at full load, ms", singles["p99_ms"], 200)
    hundred = figures["batches of 100"]
    yield _at_least(
        "in batches of 100, times its single creates",
        hundred[POSTGRESQL]["per_second"] / memory,
        20,
        _cores(hundred[POSTGRESQL]),
    )
    share = hundred[POSTGRESQL]["per_second"] / hundred[PUSHPIN]["per_second"]
    yield _at_least("and of what Pushpin alone accepts", share, 0.2, _cores(hundred[POSTGRESQL]))
    bulk = figures["broadcast"]
    floor = bulk[BARE]["p50_ms"] + bulk[PUSHPIN]["p50_ms"]
    yield _at_most(
        "broadcast, times a bulk insert and Pushpin alone",
        bulk[POSTGRESQL]["p50_ms"] / floor,
        2,
        f"a processor's ms, mostly one after the other: {_parts(bulk[POSTGRESQL], ('python', 'proxy', 'database'), 0)}",
    )
    delay = figures["latency"]
    added = delay[POSTGRESQL]["p50_ms"] - delay[PUSHPIN]["p50_ms"] - delay[BARE]["p50_ms"]
    passed = delay[POSTGRESQL]["proxied_ms"], delay[POSTGRESQL]["direct_ms"]
    yield _at_most(
        "latency p50 beyond Pushpin alone and one commit, ms",
        added,
        2,
        "a request that does nothing takes {:.1f} ms through the proxy, {:.1f} without it".format(*passed),
    )
    opened = figures["connects"]
    share = opened[POSTGRESQL]["per_second"] / opened[PUSHPIN]["per_second"]
    yield _at_least("connects, of Pushpin alone", share, 0.8, _cores(opened[POSTGRESQL]))
    yield _at_most("failed connects, with replay too", sum(_failed(results)), 0)
    if ANNOUNCEMENT in figures:
        announced, users = figures[ANNOUNCEMENT][POSTGRESQL], results["size"]["known"]
        yield _at_most(f"announcement to {users:,} users, answer, ms", announced["answer_ms"], 200)
        yield _at_most("until every open stream has it, ms", announced["all_ms"], 5000)
    yield from _held_targets(results)
    for name in (POSTGRESQL, SQLITE):
        for kind, ratio in _growths(results["growth"][name]).items():
            yield _at_most(f"{kind} at the most rows, times that at the fewest, {name}", ratio, 1.3)


def _failed(results: dict[str, Any]) -> Iterator[float]:
    for measure in ("connects", "connects with replay"):
        yield results["figures"][measure][POSTGRESQL]["failed"]


def _held_targets(results: dict[str, Any]) -> Iterator[Target]:
    mine = results["held"][POSTGRESQL]
    yield _at_most("failed connects in a burst", mine["storm"]["failed"], 0)
    steps = list(mine["steps"].values())
    for whose, bound in (
        ("handlers", ""),
        ("relay", "it keeps 0.2 KB of each; the rest is what opening them leaves to the allocator"),
    ):
        name = f"memory of the {whose} a stream, from the first number of streams to the last, KB"
        yield _at_most(name, _slope(mine["steps"], f"{whose}_total_kb"), 0.5, bound)
    alone = list(results["held"][PUSHPIN]["steps"].values())[-1]["proxy_kb"]
    yield _at_most("proxy memory a stream, KB", steps[-1]["proxy_kb"], 36, f"Pushpin alone takes {alone:.0f}")
    yield _at_most("requests of an idle system", mine["idle"]["requests"], 0)
    idle = {part: round(mine["idle"][f"{part}_core"], 3) for part in ("python", "proxy", "database")}
    yield _at_most("processor of an idle system, cores", mine["idle"]["all_core"], 0.1, str(idle)[1:-1])


def _slope(steps: dict[str, dict[str, float]], part: str) -> float:
    """Return the kilobytes per additional stream, beyond the first step."""
    held = [(int(number), step) for number, step in steps.items()][1:]  # without the step of no streams
    first, last = held[0], held[-1]
    return (last[1][part] - first[1][part]) / (last[0] - first[0])


def _growths(steps: dict[str, dict[str, dict[str, float]]]) -> dict[str, float]:
    """Return the ratio of each kind's duration at the most rows to that at the fewest."""
    last = list(steps.values())[-1]
    return {kind: took / last["small"][kind] for kind, took in last["grown"].items()}


def _cores(figures: dict[str, float]) -> str:
    """Describe the rate that all cores could reach, from the processor time per request."""
    parts = ("python", "proxy", "database", "load")
    spent = sum(figures[f"{part}_ms"] for part in parts)
    most, without_python = _most(spent), _most(spent - figures["python_ms"])
    each = _parts(figures, parts, 2)
    return f"{most:,.0f} a second, all cores busy; {without_python:,.0f} if Python took nothing (ms each: {each})"


def _most(milliseconds: float) -> float:
    return 1000 * (os.cpu_count() or 1) / milliseconds


def _parts(figures: dict[str, float], parts: Sequence[str], digits: int) -> str:
    return ", ".join(f"{part} {figures[f'{part}_ms']:.{digits}f}" for part in parts)


def _at_least(name: str, value: float, target: float, bound: str = "") -> Target:
    return Target(name, f"{value:.2f}", f"at least {target}", value >= target, bound)


def _at_most(name: str, value: float, target: float, bound: str = "") -> Target:
    return Target(name, f"{value:.2f}", f"at most {target}", value <= target, bound)


def _targets_rows(results: dict[str, Any]) -> list[list[str]]:
    return [
        [
            target.name,
            target.value,
            target.target,
            "yes" if target.met else "**no**",
            "" if target.met else target.bound,
        ]
        for target in targets(results)
    ]


def _figures(results: dict[str, Any]) -> list[list[str]]:
    figures, rows = results["figures"], []
    for measure, of_design in figures.items():
        shown: list[tuple[str, Callable[[dict[str, float]], str]]] = []
        if any("per_second" in item for item in of_design.values()):
            shown.append(
                (
                    f"{measure}, a second",
                    lambda figures: f"{figures['per_second']:,.0f}" if "per_second" in figures else "",
                )
            )
        shown.append((f"{measure}, ms p50 / p99", lambda figures: f"{figures['p50_ms']:.1f} / {figures['p99_ms']:.1f}"))
        if any(item.get("failed") for item in of_design.values()):
            shown.append((f"{measure}, failed", lambda figures: f"{figures.get('failed', 0):.0f}"))
        for name, show in shown:
            rows.append([name, *(show(of_design[design]) if design in of_design else "" for design in DESIGNS)])
    for kind, show in _HELD.items():
        cells = {name: show(item) for name, item in results["held"].items()}
        rows.append([kind, *(cells.get(design, "") for design in DESIGNS)])
    return rows


def _memory(part: str) -> Callable[[dict[str, Any]], str]:
    return lambda figures: " / ".join(f"{step[part]:.1f}" for step in list(figures["steps"].values())[1:])


_HELD: dict[str, Callable[[dict[str, Any]], str]] = {
    "a storm of reconnects: seconds, failed": lambda figures: (
        f"{figures['storm']['seconds']:.1f}, {figures['storm']['failed']:.0f}"
    ),
    "memory a stream, KB, proxy, by their number": _memory("proxy_kb"),
    "memory a stream, KB, Python, by their number": _memory("python_kb"),
    "idle with streams: cores in all": lambda figures: f"{figures['idle']['all_core']:.3f}",
}


def _shares(results: dict[str, Any]) -> list[list[str]]:
    rows = []
    for measure, of_design in results["figures"].items():
        for design, figures in of_design.items():
            if "load_ms" in figures:
                parts = [f"{figures[part]:.3f}" for part in ("python_ms", "proxy_ms", "database_ms", "load_ms")]
                rows.append([f"{measure}: {design}", *parts])
    return rows


def _rows(head: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]
