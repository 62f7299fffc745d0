"""The result of a check, and the line that reports it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from shirase.errors import ShiraseError

Check = tuple[str, Callable[[], str]]  # a name, and what returns the good result or raises one of the two below
TIMEOUT = 5.0  # seconds to wait for the database
WIDTH = 14  # of the longest name


class Failed(ShiraseError):
    """Something is broken, and this is the fix."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what} — fix: {fix}")


class Skipped(ShiraseError):
    """The check is not possible from this machine, or not while something else is broken."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check."""

    name: str
    mark: str  # ok, FAILED, or - for a skipped check
    detail: str

    @property
    def failed(self) -> bool:
        """Whether there is something to fix."""
        return self.mark == "FAILED"

    def __str__(self) -> str:
        """Format the line that is printed."""
        return f"{self.mark:<6} {self.name:<{WIDTH}} {self.detail}"


def examine(checks: Sequence[Check]) -> Iterator[Finding]:
    """Run the checks in order; a failure does not stop the later ones."""
    for name, check in checks:
        try:
            yield Finding(name, "ok", check())
        except Skipped as exc:
            yield Finding(name, "-", str(exc))
        except Failed as exc:
            yield Finding(name, "FAILED", str(exc))
