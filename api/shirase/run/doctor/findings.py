"""What a check finds, and the line that says it."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from shirase.errors import ShiraseError

Check = tuple[str, Callable[[], str]]  # its name, and what returns the good news or raises one of the two below
WIDTH = 14  # of the longest name


class Failed(ShiraseError):
    """Something is broken, and here is how to mend it."""

    def __init__(self, what: str, mend: str) -> None:
        """Say both in one line."""
        super().__init__(f"{what} — mend: {mend}")


class Skipped(ShiraseError):
    """It cannot be told from here, or not while something else is broken."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one check."""

    name: str
    mark: str  # ok, FAILED, or - for what could not be looked at
    detail: str

    @property
    def failed(self) -> bool:
        """Whether there is something to mend."""
        return self.mark == "FAILED"

    def __str__(self) -> str:
        """One line."""
        return f"{self.mark:<6} {self.name:<{WIDTH}} {self.detail}"


def examine(checks: Sequence[Check]) -> Iterator[Finding]:
    """Run one check after the other; what one finds does not keep the others from looking."""
    for name, check in checks:
        try:
            yield Finding(name, "ok", check())
        except Skipped as exc:
            yield Finding(name, "-", str(exc))
        except Failed as exc:
            yield Finding(name, "FAILED", str(exc))
