"""Where settings come from, before anything checks them."""

import os
from pathlib import Path

from dotenv import dotenv_values

from shirase.run.data_directory import read_settings


def given() -> dict[str, str]:
    """The environment, then ``.env`` in the working directory."""
    file = {name: value for name, value in dotenv_values(Path(".env")).items() if value is not None}
    return {**file, **os.environ}


def load(data_dir: Path) -> dict[str, str]:
    """What a command that is run by hand goes by: the same, then what a running demo left with its data."""
    return {**read_settings(data_dir), **given()}
