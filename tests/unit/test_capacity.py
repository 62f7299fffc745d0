"""The page of capacity has the tables that follow from the benchmark's figures."""

from pathlib import Path

import orjson

from bench.capacity import RESULTS, table


def test_the_page_has_the_tables_of_the_figures() -> None:
    page = (Path(__file__).parents[2] / "docs/capacity.md").read_text()
    assert table(orjson.loads(RESULTS.read_bytes())) in page
