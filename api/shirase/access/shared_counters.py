"""Counters that all workers of one host share, for the library ``limits``, which has none without another server.

A file of SQLite that nobody waits for: nothing in it outlives the moment, so it is never synced to the disk.
"""

import random
import sqlite3
import threading
import time
import weakref
from functools import cached_property
from typing import Any

from limits.storage import Storage

WAIT = 0.25  # seconds for another worker's turn, which takes some microseconds
SWEEP = 0.002  # the share of counts that also remove what has expired

_SCHEMA = """
CREATE TABLE IF NOT EXISTS counts (key TEXT PRIMARY KEY, count INTEGER NOT NULL, expires_at REAL NOT NULL) WITHOUT ROWID
"""
_COUNT = """
INSERT INTO counts VALUES (:key, :amount, :now + :expiry) ON CONFLICT (key) DO UPDATE SET
    count = excluded.count + CASE WHEN expires_at > :now THEN count ELSE 0 END,
    expires_at = CASE WHEN expires_at > :now THEN expires_at ELSE excluded.expires_at END
RETURNING count
"""


class SharedCounters(Storage):
    """Counts in one file, by one connection a process. Safe to share between threads; make it after a fork."""

    STORAGE_SCHEME = None

    def __init__(self, path: str | None) -> None:
        """Prepare, without opening; without a path, counts are this process's own."""
        super().__init__()
        self._path = path or ":memory:"
        self._lock = threading.Lock()

    @property
    def base_exceptions(self) -> type[Exception]:
        """What can go wrong."""
        return sqlite3.Error

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Count, and say how many there are now."""
        given = {"key": key, "amount": amount, "expiry": expiry, "now": time.time()}
        count: int = self._execute(_COUNT, given)[0][0]
        if random.random() < SWEEP:  # noqa: S311 - chance spreads work, it protects nothing
            self._execute("DELETE FROM counts WHERE expires_at <= :now", given)
        return count

    def get(self, key: str) -> int:
        """How many there are now."""
        found = self._find(key)
        return int(found[0]) if found else 0

    def get_expiry(self, key: str) -> float:
        """When the count begins anew (Unix time)."""
        found = self._find(key)
        return float(found[1]) if found else time.time()

    def check(self) -> bool:
        """Whether the file can be used."""
        return bool(self._execute("SELECT 1", {}))

    def reset(self) -> int:
        """Forget all counts."""
        return len(self._execute("DELETE FROM counts RETURNING 1", {}))

    def clear(self, key: str) -> None:
        """Forget one count."""
        self._execute("DELETE FROM counts WHERE key = :key", {"key": key})

    def _find(self, key: str) -> Any:
        wanted = "SELECT count, expires_at FROM counts WHERE key = :key AND expires_at > :now"
        found = self._execute(wanted, {"key": key, "now": time.time()})
        return found[0] if found else None

    def _execute(self, statement: str, given: dict[str, Any]) -> list[Any]:
        with self._lock:
            return self._connection.execute(statement, given).fetchall()

    @cached_property
    def _connection(self) -> sqlite3.Connection:
        made = sqlite3.connect(self._path, timeout=WAIT, isolation_level=None, check_same_thread=False)
        weakref.finalize(self, made.close)
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("PRAGMA synchronous=OFF")
        made.execute(_SCHEMA)
        return made
