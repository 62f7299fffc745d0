"""Ten seconds of chaos on each database, with two and with four nodes; ``make chaos`` runs longer."""

import logging
import os

import pytest

from tests.chaos.chaos import Options, run

SECONDS = 10
SEED = int(os.environ.get("CHAOS_SEED", "1"))


@pytest.mark.parametrize(("database", "nodes"), [("sqlite", 2), ("postgresql", 4)])
def test_nothing_lost_nothing_twice_whatever_dies(database: str, nodes: int) -> None:
    report = run(Options(SEED, SECONDS, database, nodes=nodes), logging.getLogger(__name__).warning)
    assert report.passed, str(report)
    assert report.verdict.events > 100
