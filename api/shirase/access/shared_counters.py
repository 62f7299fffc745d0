"""Counters shared by all workers of a host, for the library ``limits``, which has none without another server.

They are in a SQLite file that is never synced to disk, because its content is short-lived.
"""

import random
import sqlite3
import threading
import time
import weakref
from functools import cached_property
from typing import Any

from limits.storage import Storage

WAIT = 0.25  # seconds to wait for another worker, which takes microseconds
SWEEP = 0.002  # the share of counts that also remove expired ones

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
    """Counts in one file, with one connection per process. Safe to share between threads; create it after a fork."""

    STORAGE_SCHEME = None

    def __init__(self, path: str | None) -> None:
        """Prepare, without opening; without a path, the counts are per process."""
        super().__init__()
        self._path = path or ":memory:"
        self._lock = threading.Lock()

    @property
    def base_exceptions(self) -> type[Exception]:
        """The errors of the storage."""
        return sqlite3.Error

    def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        """Increment and return the count."""
        parameters = {"key": key, "amount": amount, "expiry": expiry, "now": time.time()}
        count: int = self._execute(_COUNT, parameters)[0][0]
        if random.random() < SWEEP:  # noqa: S311 - only spreads work
            self._execute("DELETE FROM counts WHERE expires_at <= :now", parameters)
        return count

    def get(self, key: str) -> int:
        """Return the count."""
        row = self._find(key)
        return int(row[0]) if row else 0

    def get_expiry(self, key: str) -> float:
        """Return when the count restarts (Unix time)."""
        row = self._find(key)
        return float(row[1]) if row else time.time()

    def check(self) -> bool:
        """Return whether the file is usable."""
        return bool(self._execute("SELECT 1", {}))

    def reset(self) -> int:
        """Delete all counts."""
        return len(self._execute("DELETE FROM counts RETURNING 1", {}))

    def clear(self, key: str) -> None:
        """Delete a count."""
        self._execute("DELETE FROM counts WHERE key = :key", {"key": key})

    def _find(self, key: str) -> Any:
        query = "SELECT count, expires_at FROM counts WHERE key = :key AND expires_at > :now"
        row = self._execute(query, {"key": key, "now": time.time()})
        return row[0] if row else None

    def _execute(self, statement: str, parameters: dict[str, Any]) -> list[Any]:
        with self._lock:
            return self._connection.execute(statement, parameters).fetchall()

    @cached_property
    def _connection(self) -> sqlite3.Connection:
        made = sqlite3.connect(self._path, timeout=WAIT, isolation_level=None, check_same_thread=False)
        weakref.finalize(self, made.close)
        made.execute("PRAGMA journal_mode=WAL")
        made.execute("PRAGMA synchronous=OFF")
        made.execute(_SCHEMA)
        return made
