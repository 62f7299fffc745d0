"""Where settings come from: the process's environment, then ``.env``, then what ``shirase up`` left with its data."""

import os
from pathlib import Path

from dotenv import dotenv_values

FILE = "shirase.env"  # in the data directory: keys made by --demo, and the addresses in use


def load(data_dir: Path) -> dict[str, str]:
    """All settings in force for a command that is run by hand."""
    found: dict[str, str | None] = {**dotenv_values(data_dir / FILE), **dotenv_values(".env")}
    return {name: value for name, value in found.items() if value is not None} | dict(os.environ)
