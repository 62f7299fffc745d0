"""A short form of ``make partitions``."""

import os
import subprocess
import sys

import pytest

from tests.partitions.__main__ import IMPOSSIBLE

SEED = os.environ.get("PARTITIONS_SEED", "1")


def test_a_broken_network_loses_and_doubles_nothing() -> None:
    command = [sys.executable, "-m", "tests.partitions", "--seconds", "4", "--users", "4", "--seed", SEED]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode == IMPOSSIBLE:
        pytest.skip(done.stdout.strip())
    assert done.returncode == 0, done.stdout
