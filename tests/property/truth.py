"""The expected state of a user, in the simplest form: dicts, and lists of counts."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Item:
    """One notification."""

    revision: int = 1
    is_unread: bool = True
    is_archived: bool = False
    is_seen: bool = False
    count: int = 1

    @property
    def counts(self) -> bool:
        return self.is_unread and not self.is_archived

    @property
    def shown(self) -> tuple[int, bool, bool]:
        return self.revision, self.is_unread, self.is_archived


@dataclass
class Truth:
    """A user's notifications, the top of the list last, and the counts after each entry of the log."""

    items: dict[int, Item] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict)
    announced: dict[int, int] = field(default_factory=dict)  # by notification: the announcement that it was
    counts: list[int] = field(default_factory=lambda: [0])  # by seq; 0 before the first
    unseen: list[int] = field(default_factory=lambda: [0])
    kept_from: int = 1  # the oldest seq that is not pruned

    @property
    def head(self) -> int:
        return len(self.counts) - 1

    @property
    def shown(self) -> dict[int, tuple[int, bool, bool]]:
        return {number: item.shown for number, item in self.items.items()}

    def create(self, number: int, key: str | None = None) -> None:
        self.items[number] = Item()
        if key:
            self.keys[key] = number
        self._append()

    def replace(self, key: str, *, fold: bool, quiet: bool) -> None:
        number = self.keys[key]
        item = self.items[number]
        item.count = item.count + 1 if fold and item.counts else 1
        item.revision += 1
        before = self.counts[-1]
        if not quiet:
            item.is_unread, item.is_archived, item.is_seen = True, False, False
            self.items[number] = self.items.pop(number)  # to the top
        self._append()
        self._append_count(before)

    def read(self, ids: Iterable[int]) -> int:
        """Mark these read; return how many were unread."""
        changed = [item for number, item in self._of(ids) if item.is_unread]
        for item in changed:
            item.is_unread = False
        if changed:
            self._append()
        return len(changed)

    def change(self, ids: Iterable[int], *, unread: bool | None = None, archived: bool | None = None) -> int:
        """Mark these unread, or archive or unarchive them; return how many were otherwise."""
        changed = [
            item
            for _, item in self._of(ids)
            if (unread is not None and item.is_unread != unread)
            or (archived is not None and item.is_archived != archived)
        ]
        before = self.counts[-1]
        for item in changed:
            item.is_unread = item.is_unread if unread is None else unread
            item.is_archived = item.is_archived if archived is None else archived
        if changed:
            self._append()
            self._append_count(before)
        return len(changed)

    def see(self) -> None:
        for item in self.items.values():
            item.is_seen = True
        if self.unseen[-1]:
            self._append()

    def remove(self, ids: Iterable[int]) -> int:
        """Remove these in one log entry; return how many existed."""
        gone = [self.items.pop(number) for number in set(ids) if number in self.items]
        self.keys = {key: number for key, number in self.keys.items() if number in self.items}
        if gone:
            self._append()
        return len(gone)

    def is_kept_after(self, seq: int) -> bool:
        """Whether everything after this seq can still be replayed."""
        return seq == self.head or max(seq, 1) >= self.kept_from

    def _of(self, ids: Iterable[int]) -> list[tuple[int, Item]]:
        return [(number, self.items[number]) for number in set(ids) if number in self.items]

    def _append(self) -> None:
        self.counts.append(sum(item.counts for item in self.items.values()))
        self.unseen.append(sum(item.counts and not item.is_seen for item in self.items.values()))

    def _append_count(self, before: int) -> None:
        """The ``read`` of nothing that carries the count to a client of the first edition."""
        if self.counts[-1] != before:
            self._append()
