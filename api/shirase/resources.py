"""Locates files other than Python code: the proxy's templates and the migrations."""

from pathlib import Path


def directory(name: str) -> Path:
    """The directory with this name, in an installed package or a checkout."""
    package = Path(__file__).resolve().parent
    bundled = package / "_bundled" / name
    return bundled if bundled.is_dir() else package.parent.parent / name
