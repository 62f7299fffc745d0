"""The steps of ``.ci/run``: what fails it, and that what is optional never makes it late."""

import re
import subprocess
from pathlib import Path

import pytest

RUN = (Path(__file__).parents[2] / ".ci/run").read_text()
FUNCTIONS = re.sub(r"^(?:step|optional) (?:make|\.ci/).*$|^cd .*$", "", RUN, flags=re.MULTILINE)


def ran(commands: str, functions: str = FUNCTIONS) -> tuple[int, str]:
    assert " make " not in functions
    assert ".ci/" not in functions
    ended = subprocess.run(
        ["bash", "-c", functions + commands], capture_output=True, text=True, check=False, timeout=60
    )
    return ended.returncode, ended.stdout


@pytest.mark.parametrize("kind", ["step", "optional"])
def test_a_step_that_fails_ends_the_run(kind: str) -> None:
    assert ran(f"{kind} false; echo next") == (1, "== minute 0: false\n")


def test_an_optional_step_is_skipped_when_it_is_late() -> None:
    assert ran("SECONDS=2100; optional false; echo next") == (0, "== minute 35: false is skipped, it is late\nnext\n")


def test_an_optional_step_that_takes_too_long_is_cut_off() -> None:
    soon = FUNCTIONS.replace("2640", "1")
    assert soon != FUNCTIONS
    code, output = ran("optional sleep 50; echo next", soon)
    assert (code, output.splitlines()[1:]) == (0, ["== minute 0: sleep 50 was cut off, it is late", "next"])


def test_every_step_states_the_minute_at_which_it_begins() -> None:
    assert ran("step true; SECONDS=130; optional true") == (0, "== minute 0: true\n== minute 2: true\n")
