"""What must be true of one user, kept in the simplest way there is: a dict, and a list of counts."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Truth:
    """One user's notifications, and how many were unread after each entry of the log."""

    unread: dict[int, bool] = field(default_factory=dict)  # notification: whether it is unread
    counts: list[int] = field(default_factory=lambda: [0])  # by seq; before the first there is nothing
    kept_from: int = 1  # the oldest seq that has not been pruned

    @property
    def head(self) -> int:
        return len(self.counts) - 1

    def create(self, number: int) -> None:
        self.unread[number] = True
        self._append()

    def read(self, ids: Iterable[int]) -> int:
        """Mark these read; how many were not."""
        changed = [number for number in set(ids) if self.unread.get(number)]
        self.unread |= dict.fromkeys(changed, False)
        if changed:
            self._append()
        return len(changed)

    def remove(self, ids: Iterable[int]) -> int:
        """Remove these; how many there were. However many go at once, it is one entry."""
        gone = [self.unread.pop(number) for number in set(ids) if number in self.unread]
        if gone:
            self._append()
        return len(gone)

    def is_kept_after(self, seq: int) -> bool:
        """Whether a device that saw this seq can be told all that followed."""
        return seq == self.head or max(seq, 1) >= self.kept_from

    def _append(self) -> None:
        self.counts.append(sum(self.unread.values()))
