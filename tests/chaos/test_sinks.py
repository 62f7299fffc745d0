"""A few seconds of failing sinks and killed relays; ``python -m tests.chaos.sinks`` runs longer, on both databases."""

import logging
import os

from tests.chaos.sinks import run

SECONDS = 6
SEED = int(os.environ.get("CHAOS_SEED", "1"))


def test_what_was_not_read_reaches_every_sink_whatever_dies() -> None:
    verdict = run("postgresql", SECONDS, SEED, logging.getLogger(__name__).warning)
    assert verdict.wrong == [], str(verdict)
    assert verdict.kills > 0
    assert min(verdict.accepted.values()) > 10, str(verdict)
