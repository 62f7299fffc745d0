"""The data directory of one running copy: its lock, and the settings that other commands read from it."""

import fcntl
import os
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dotenv import dotenv_values

from shirase.errors import ShiraseError
from shirase.settings import DEMO_KEY_PREFIX
from shirase.variables import SUFFIX

KEYS = ("PUSHPIN_SIG_KEY", "JWT_SECRET")
KEPT = (*KEYS, "DATABASE_URL", "DATABASE_PASSWORD", "GRIP_URL", "PUSHPIN_STATS_URL", "SHIRASE_URL")
WRITTEN = (*KEPT, *(name + SUFFIX for name in KEPT))
KEY_BYTES = 32  # as long as the hash of HS256


class DataDirectoryTaken(ShiraseError):
    """Another running copy has locked the data directory."""


@contextmanager
def locked(data_dir: Path) -> Iterator[None]:
    """Create the directory if needed and lock it, so that no second copy writes to it.

    Raises:
        DataDirectoryTaken: if a running copy has locked it.
    """
    make_private(data_dir)
    with (data_dir / "lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            file.seek(0)
            raise DataDirectoryTaken(f"{data_dir} is in use by process {file.read().strip()}") from exc
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield


def make_private(data_dir: Path) -> None:
    """Create the directory if needed, and restrict it and its database to the owner, even if they existed."""
    os.umask(0o077)  # also for files that this process and its children create later
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    _restrict(data_dir)
    for file in data_dir.glob("shirase.db*"):  # SQLite gives its log files the mode of the database
        _restrict(file)


def _restrict(path: Path) -> None:
    """Remove the access of group and others, except from shared directories (sticky, such as /tmp)."""
    status = path.lstat()
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid == os.getuid() and mode & 0o077 and not mode & stat.S_ISVTX and not stat.S_ISLNK(status.st_mode):
        path.chmod(mode & 0o700)


def read_settings(data_dir: Path) -> dict[str, str]:
    """The settings of the demo that last used the directory; empty if it was not a demo."""
    return {name: value for name, value in dotenv_values(_file(data_dir), interpolate=False).items() if value}


def make_keys(data_dir: Path) -> dict[str, str]:
    """The demo's keys, generated at its first start. A prefix distinguishes them from an operator's keys."""
    kept = {name: value for name, value in read_settings(data_dir).items() if value.startswith(DEMO_KEY_PREFIX)}
    return {name: kept.get(name) or DEMO_KEY_PREFIX + secrets.token_hex(KEY_BYTES) for name in KEYS}


def keep_settings(data_dir: Path, environ: Mapping[str, str]) -> None:
    """Store the settings that other commands need, readable by this user only."""
    path = _file(data_dir)
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{name}={_quoted(environ[name])}\n" for name in WRITTEN if name in environ)
    new.replace(path)


def _file(data_dir: Path) -> Path:
    return data_dir / "shirase.env"


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
