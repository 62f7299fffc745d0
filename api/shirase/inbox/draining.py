"""Draining a node: its streams get `closing` and reconnect, spread over a time, and it accepts no new ones."""

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import ceil
from urllib.parse import urlsplit

from shirase.errors import DatabaseUnavailable, ShiraseError
from shirase.inbox import connections
from shirase.proxy.publisher import Publisher
from shirase.store import connections as registry
from shirase.store import draining
from shirase.store.database import Database
from shirase.store.registry import node_checks

FRESH = 1.0  # seconds after which a handler asks again which nodes are being drained
LASTS = timedelta(hours=1)  # after the end of a drain, for the operator to stop the node
LAPSES = timedelta(seconds=3)  # after the last step of a node's own drain: a node that starts again takes streams
STEP = 0.5  # seconds between two batches
QUIET = 3.0  # seconds without a stream after which a node is drained: longer than FRESH
LATE = 60.0  # seconds that streams may still come, after the time over which they are spread
BATCH = 500  # streams ended in one transaction


class NotDrained(ShiraseError):
    """The node cannot be drained."""


class Draining:
    """Which nodes are being drained, as a handler knows it: at most a second late."""

    def __init__(self, database: Database) -> None:
        """Prepare, without reading."""
        self._database = database
        self._names: frozenset[str] = frozenset()
        self._read_at = 0.0
        self._reading = threading.Lock()  # so that one thread at most waits for a database that hangs

    def includes(self, node: str | None) -> bool:
        """Whether this node is being drained; while the database is unavailable, as it was before."""
        if node is None:
            return False
        if time.monotonic() - self._read_at > FRESH and self._reading.acquire(blocking=False):
            try:
                with self._database.autocommit() as db:
                    self._names = draining.names(db, datetime.now(UTC))
            except DatabaseUnavailable:
                pass
            finally:
                self._read_at = time.monotonic()
                self._reading.release()
        return node in self._names


def find(database: Database, publisher: Publisher, name: str, *, is_undone: bool = False) -> str:
    """The node that an operator names: by its address in ``GRIP_URL``, or by its host and port, or host, alone.

    Raises:
        NotDrained: if there is no such node, or several, or no other node takes its streams.
    """
    with database.autocommit() as db:
        known = sorted({*publisher.nodes, *filter(publisher.knows, node_checks(db))})
        drained = draining.names(db, datetime.now(UTC))
    result = [node for node in known if name in (node, urlsplit(node).netloc, urlsplit(node).hostname)]
    if len(result) != 1:
        what = "several nodes are" if result else "no node is"
        raise NotDrained(f"{what} called {name}; the nodes are: {', '.join(known) or 'none'}")
    if not is_undone and not set(publisher.nodes) - drained - set(result):
        raise NotDrained(f"{result[0]} is the last node that takes streams: start another one first")
    return result[0]


def drain(database: Database, publisher: Publisher, node: str, seconds: float, show: Callable[[int, int], None]) -> int:
    """End the streams of a node, so that their clients reconnect elsewhere; returns how many have moved.

    Args:
        database: has the registry.
        publisher: sends the closings.
        node: one that ``find`` returned.
        seconds: over which they are spread.
        show: is called with the numbers of streams that have moved, and that are left.

    Raises:
        NotDrained: if streams keep coming, or the node does not accept their end.
    """
    _begin(database, node, timedelta(seconds=seconds + LATE) + LASTS)
    moved, began, quiet_since = 0, time.monotonic(), time.monotonic()
    while time.monotonic() - quiet_since < QUIET:
        ended, left = _move_some(database, publisher, node, began + seconds - time.monotonic())
        moved += ended
        if ended:
            quiet_since = time.monotonic()
        show(moved, left)
        if time.monotonic() - began > seconds + LATE:
            raise NotDrained(f"streams keep coming to {node}: {left} are open. Does the balancer ask its /livez/open?")
        time.sleep(STEP)
    with database.autocommit() as db:
        waiting = draining.waiting(db, node)
    if waiting:
        raise NotDrained(f"{node} has not accepted the end of {waiting} streams: is its control port up?")
    return moved


def drain_step(database: Database, publisher: Publisher, name: str, seconds: float) -> tuple[int, int]:
    """One step of the drain that a node asks for before it stops, twice a second; how many moved, and are left.

    Args:
        database: has the registry.
        publisher: sends the closings.
        name: of the node, its address in ``GRIP_URL``.
        seconds: over which those that are left are spread.

    Raises:
        NotDrained: if there is no such node, or no other one takes its streams.
    """
    node = find(database, publisher, name)
    _begin(database, node, LAPSES)
    return _move_some(database, publisher, node, seconds)


def _begin(database: Database, node: str, lasts: timedelta) -> None:
    now = datetime.now(UTC)
    with database.transaction() as db:
        draining.begin(db, node, now, now + lasts)


def _move_some(database: Database, publisher: Publisher, node: str, seconds: float) -> tuple[int, int]:
    """End a share of the streams, so that all are ended in that time; how many, and how many are left."""
    with database.autocommit() as db:
        left = draining.count(db, node)
        ids = draining.some(db, node, min(BATCH, ceil(left / max(1, int(seconds / STEP)))))
    if not ids:
        return 0, left
    with database.transaction(durable=False) as db:
        ended = registry.end(db, ids, connections.DRAINING, datetime.now(UTC))
    connections.publish_closings(database, publisher, ended)
    return len(ended), max(0, left - len(ids))


def undo(database: Database, node: str) -> None:
    """Let a node take new streams again."""
    with database.transaction() as db:
        draining.end(db, node)
