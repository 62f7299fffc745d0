"""The quick form of the bench: it works, and nothing is lost. Its figures mean nothing here."""

import os
from pathlib import Path

import pytest

from bench import beside, bounds, capacity, curves, deliveries, event_loop, peers, report
from bench.__main__ import DOCS
from bench.measures import QUICK
from bench.run import BARE, DURABLE, MEMORY, POSTGRESQL, PUSHPIN, RETURNS, SQLITE, run
from tests.support.postgres import cluster


@pytest.mark.timeout(600)
def test_the_bench_works_and_loses_nothing(tmp_path: Path) -> None:
    results = run(QUICK, tmp_path / "run", lambda _: None)

    figures = results["figures"]
    assert set(figures["creates"]) == {MEMORY, POSTGRESQL, SQLITE, PUSHPIN, BARE}
    assert all(value > 0 for value in (create["per_second"] for create in figures["creates"].values()))
    assert set(figures["connects with replay"]) == {POSTGRESQL, SQLITE, PUSHPIN}
    assert all(item["storm"]["per_second"] > 0 for item in results["held"].values())
    assert set(results["growth"]) == {POSTGRESQL, SQLITE}
    table = report.table(results)
    assert all(target.name in table for target in report.targets(results))
    page = (DOCS / "benchmarks.md").read_text()
    assert report.insert(table, page).startswith(page.partition(report.BEGIN)[0] + report.BEGIN + table + report.END)
    assert capacity.table(results).count("\n") == 11
    assert "in-memory" in beside.table(figures)
    assert figures[RETURNS][MEMORY]["lost"] == QUICK.returning
    assert figures[RETURNS][POSTGRESQL]["lost"] == 0
    curves.draw(results, tmp_path)
    assert {path.name for path in tmp_path.glob("*.png")} == {"growth.png", "streams.png"}


def test_a_peer_without_its_program_is_reported() -> None:
    lines: list[str] = []
    assert peers.programs({"MERCURE": "/opt/mercure"}, lines.append) == {peers.MERCURE: "/opt/mercure"}
    assert lines == ["Centrifugo is left out: CENTRIFUGO does not name its program"]


@pytest.mark.skipif(not peers.programs(os.environ, lambda _: None), reason="CENTRIFUGO and MERCURE name no program")
def test_peers_take_part_in_the_quick_form(tmp_path: Path) -> None:
    chosen = peers.programs(os.environ, lambda _: None)
    with cluster(DURABLE) as postgres:
        results = beside.measure(lambda _: peers.designs(chosen, postgres, tmp_path / "peers"), QUICK, lambda _: None)
    assert set(results["creates"]) == set(chosen)
    assert all(name in beside.table(results) for name in chosen)


def test_the_bench_of_deliveries_sends_each_once(tmp_path: Path) -> None:
    result = deliveries.measure("sqlite", tmp_path, deliveries.QUICK)
    assert result.times > 0
    assert len(result.memory) == 2


def test_the_bench_of_the_event_loop_works() -> None:
    """What it compares, and exits by, is the p99: a moment's on a busy machine is chance."""
    answering, hanging = event_loop.measure(seconds=1, rounds=1, rate=20)
    assert answering > 0
    assert hanging > 0


def test_the_bounds_show_as_parts_are_removed(tmp_path: Path) -> None:
    parts = ("the second request", "our handler", bounds.PUSHPIN_AGAIN)
    with cluster(DURABLE) as postgres:
        size = bounds.Size(rounds=1, count=10, again=0, parts=parts, crowd=QUICK)
        opened, created, crowds = bounds.measure(postgres, tmp_path / "b", size).values()
    assert list(opened) == list(parts)
    assert list(created) == ["our handler"]
    assert opened["our handler"]["relay"] == 0
    assert list(crowds) == ["our handler", bounds.PUSHPIN_AGAIN]
    assert crowds[bounds.PUSHPIN_AGAIN]["p99, ms"] > 0
    assert all(f"| {part} |" in bounds.table("a connect", opened) for part in parts)
