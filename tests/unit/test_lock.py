"""The image installs what is listed with hashes, which is what pyproject.toml asks for."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
INSTALLED = [*PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"]["apprise"]]
LOCKED = ("requirements.txt", "build-requirements.txt")


def locked(name: str) -> dict[str, str]:
    """The versions that a list pins; each must have hashes and nothing else."""
    text = (ROOT / "deploy" / name).read_text()
    entries = re.split(r"\n(?=\S)", text.rstrip())[1:]
    for entry in entries:
        assert re.fullmatch(r"\S+==\S+( \\\n    --hash=sha256:[0-9a-f]{64})+", entry), entry
    return {canonicalize_name(entry.split("==")[0]): entry.split()[0].split("==")[1] for entry in entries}


@pytest.mark.parametrize(
    ("required", "name"),
    [(INSTALLED, LOCKED[0]), (PROJECT["build-system"]["requires"], LOCKED[1])],
    ids=LOCKED,
)
def test_every_dependency_is_locked_within_its_range(required: list[str], name: str) -> None:
    versions = locked(name)
    requirements = [Requirement(each) for each in required]
    outdated = [
        str(each) for each in requirements if versions.get(canonicalize_name(each.name), "0") not in each.specifier
    ]
    assert outdated == [], "run .ci/lock"


def test_the_image_installs_nothing_without_a_hash() -> None:
    installs = re.findall(r"pip install (.*?)(?: \\\\)?\n", (ROOT / "Dockerfile").read_text())
    assert len(installs) == 3
    for options in installs:
        assert "--require-hashes" in options or "--no-deps --no-build-isolation" in options, options
