"""A few seconds with 200 streams; ``make churn`` runs longer."""

import logging

import pytest

from tests.churn.churn import Options, run


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_registry_is_right_after_random_opens_and_closes(database: str) -> None:
    report = run(Options(1, 4, database, streams=200, users=50), logging.getLogger(__name__).warning)
    assert report.passed, str(report)
    assert min(report.closed, report.evicted) > 10
