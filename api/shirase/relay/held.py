"""Which connections one node holds: what a relay remembers of each between two times that the node says it."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import compress


class Held:
    """A set of connection ids, each believed in for a time. It knows an id that it is asked for, and can name none.

    Each takes 17 bytes, in sorted arrays: a digest, until when it is believed in, and whether a row shows it. A digest
    is Python's own hash: 64 bits, by a secret of this process. Of two ids that had the same one, the second would not
    be noticed; among 100,000 ids that comes once in some billions of times.
    """

    def __init__(self) -> None:
        """Hold nothing."""
        self._digests = array("q")
        self._until = array("d")
        self._entered = bytearray()

    def __len__(self) -> int:
        """How many it holds."""
        return len(self._digests)

    def __contains__(self, connection_id: str) -> bool:
        """Whether it holds this one."""
        return self._find(connection_id)[1]

    def hear(self, connection_id: str, until: float) -> bool:
        """Believe in it until then, by ``lapse``'s clock; whether to look at its row: it is new, or was doubted."""
        place, found = self._find(connection_id)
        if not found:
            self._digests.insert(place, hash(connection_id))
            self._until.insert(place, until)
            self._entered.insert(place, True)
            return True
        self._until[place] = until
        is_doubted = not self._entered[place]
        self._entered[place] = True
        return is_doubted

    def discard(self, connection_id: str) -> None:
        """It has left."""
        place, found = self._find(connection_id)
        if found:
            for column in (self._digests, self._until, self._entered):
                del column[place]

    def doubt(self, connection_id: str) -> None:
        """Its row is not as it should be: look at it when it is heard the next time."""
        place, found = self._find(connection_id)
        if found:
            self._entered[place] = False

    def compare(self, rows: Iterable[str]) -> Iterator[str]:
        """Hold all rows of the node against it: yields those of what it does not hold, and doubts what has none."""
        self._entered = bytearray(len(self._digests))
        for connection_id in rows:
            place, found = self._find(connection_id)
            if found:
                self._entered[place] = True
            else:
                yield connection_id

    def lapse(self, now: float) -> bool:
        """Remove what was to be believed in until before ``now``; whether there was any."""
        if min(self._until, default=now) >= now:
            return False
        lasting = bytearray(until >= now for until in self._until)
        self._digests = array("q", compress(self._digests, lasting))
        self._entered = bytearray(compress(self._entered, lasting))
        self._until = array("d", compress(self._until, lasting))
        return True

    def _find(self, connection_id: str) -> tuple[int, bool]:
        """Where it is, or would be."""
        digest = hash(connection_id)
        place = bisect_left(self._digests, digest)
        return place, place < len(self._digests) and self._digests[place] == digest
