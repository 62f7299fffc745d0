"""What ends ``make operator`` in one line, and what fails it."""

import pytest

from tests.operator.machine import PACKAGES, lacking
from tests.operator.page import blocks


@pytest.mark.parametrize(
    ("output", "package"),
    [
        ("Reading package lists...\nE: Unable to locate package certbot\n", "certbot"),
        ("E: Package 'python3-venv' has no installation candidate", "python3-venv"),
        ("ERROR: Could not find a version\nERROR: No matching distribution found for flask==3.1.2\n", "flask==3.1.2"),
    ],
)
def test_a_registry_that_lacks_a_package_skips(output: str, package: str) -> None:
    assert lacking(output) == package


@pytest.mark.parametrize(
    "output",
    [
        "E: Unable to locate package certbott",
        """Ignored the following versions that require a different python version: 4.0
ERROR: No matching distribution found for flask==4.0""",
        "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.",
        "ERROR: Could not open requirements file: [Errno 2] No such file or directory: 'deploy/x.txt'",
        "psql: error: connection refused",
    ],
)
def test_a_page_that_is_wrong_fails(output: str) -> None:
    assert lacking(output) == ""


def test_the_packages_of_the_page_are_those_of_debian() -> None:
    (line,) = [line for block in blocks() for line in block.commands.splitlines() if line.startswith("apt-get install")]
    assert {word for word in line.split()[2:] if not word.startswith("-")} == PACKAGES
