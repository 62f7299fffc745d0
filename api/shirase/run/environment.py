"""The sources of settings, before anything validates them."""

import os
from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

from shirase.run.data_directory import read_settings
from shirase.variables import SUFFIX


def chosen() -> dict[str, str]:
    """The environment, then ``.env`` in the working directory."""
    file = {name: value for name, value in dotenv_values(Path(".env")).items() if value is not None}
    return overlay(file, os.environ)


def load(data_dir: Path) -> dict[str, str]:
    """The settings of a command run by hand: the environment, ``.env``, then those of a running demo."""
    return overlay(read_settings(data_dir), chosen())


def overlay(below: Mapping[str, str], above: Mapping[str, str]) -> dict[str, str]:
    """Merge both; ``above`` takes precedence, also its ``NAME_FILE`` over a ``NAME`` below, and the reverse."""
    hidden = {name + SUFFIX for name in above} | {name.removesuffix(SUFFIX) for name in above if name.endswith(SUFFIX)}
    return {**{name: value for name, value in below.items() if name not in hidden}, **above}
