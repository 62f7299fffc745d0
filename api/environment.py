"""Where a command that is run by hand finds its settings."""

import os
from pathlib import Path

from dotenv import dotenv_values

from api.data_directory import read_settings


def load(data_dir: Path) -> dict[str, str]:
    """The environment, then ``.env``, then what a running demo left with its data."""
    file = {name: value for name, value in dotenv_values(Path(".env")).items() if value is not None}
    return {**read_settings(data_dir), **file, **os.environ}
