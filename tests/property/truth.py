"""The expected state of a user, in the simplest form: a dict and a list of counts."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Truth:
    """A user's notifications, and the unread count after each entry of the log."""

    unread: dict[int, bool] = field(default_factory=dict)  # notification id: whether it is unread
    counts: list[int] = field(default_factory=lambda: [0])  # by seq; 0 before the first
    kept_from: int = 1  # the oldest seq that is not pruned

    @property
    def head(self) -> int:
        return len(self.counts) - 1

    def create(self, number: int) -> None:
        self.unread[number] = True
        self._append()

    def read(self, ids: Iterable[int]) -> int:
        """Mark these read; return how many were unread."""
        changed = [number for number in set(ids) if self.unread.get(number)]
        self.unread |= dict.fromkeys(changed, False)
        if changed:
            self._append()
        return len(changed)

    def remove(self, ids: Iterable[int]) -> int:
        """Remove these in one log entry; return how many existed."""
        gone = [self.unread.pop(number) for number in set(ids) if number in self.unread]
        if gone:
            self._append()
        return len(gone)

    def is_kept_after(self, seq: int) -> bool:
        """Whether everything after this seq can still be replayed."""
        return seq == self.head or max(seq, 1) >= self.kept_from

    def _append(self) -> None:
        self.counts.append(sum(self.unread.values()))
