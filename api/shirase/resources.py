"""Where the files are that are not Python: the proxy's templates and the migrations."""

from pathlib import Path


def directory(name: str) -> Path:
    """The directory of that name, in an installed copy as in a checkout."""
    package = Path(__file__).resolve().parent
    bundled = package / "_bundled" / name
    return bundled if bundled.is_dir() else package.parent.parent / name
