"""The short form: a few seconds, a few hundred streams. ``make churn`` runs the long one."""

import logging

import pytest

from tests.churn.churn import Options, run


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_registry_equals_the_truth_after_streams_opened_and_closed_at_random(database: str) -> None:
    report = run(Options(1, 4, database, streams=200, users=50), logging.getLogger(__name__).warning)
    assert report.passed, str(report)
    assert min(report.closed, report.evicted) > 10
