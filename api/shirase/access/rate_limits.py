"""Rate limits: how often a caller may create, change, connect and request tickets."""

import logging
import math
import sqlite3
import time
from dataclasses import dataclass

from limits import RateLimitItem, parse
from limits.strategies import FixedWindowRateLimiter

from shirase.access.shared_counters import SharedCounters
from shirase.settings import Settings

log = logging.getLogger(__name__)

CREATES, CHANGES, CONNECTS, TICKETS = "creates", "changes", "connects", "tickets"
PREFERENCES = "preferences"  # each has an event of up to 100 KB


@dataclass(frozen=True, slots=True)
class Usage:
    """A caller's use of a limit."""

    kind: str
    limit: int
    window: int  # seconds
    remaining: int
    reset: int  # seconds until the count restarts
    is_over: bool


class RateLimits:
    """Counts by caller, over all workers of this host."""

    def __init__(self, settings: Settings) -> None:
        """Prepare; the file is opened at the first count."""
        chosen = {
            CREATES: settings.rate_limit_creates,
            CHANGES: settings.rate_limit_changes,
            PREFERENCES: settings.rate_limit_preferences,
            CONNECTS: settings.rate_limit_connects,
            TICKETS: settings.rate_limit_tickets,
        }
        self._items: dict[str, RateLimitItem] = {kind: parse(text) for kind, text in chosen.items() if text}
        self._limiter = FixedWindowRateLimiter(SharedCounters(settings.rate_limit_file))

    def count(self, kind: str, user_id: str) -> Usage | None:
        """Count a request; ``None`` without a limit.

        If counting fails, the request passes: the limits protect the service from callers' mistakes, and are no access
        control.
        """
        item = self._items.get(kind)
        if item is None:
            return None
        try:
            within = self._limiter.hit(item, kind, user_id)
            reset_at, remaining = self._limiter.get_window_stats(item, kind, user_id)
        except (sqlite3.Error, OSError) as exc:
            log.warning("requests could not be counted: %s", exc)
            return None
        reset = max(1, math.ceil(reset_at - time.time()))
        return Usage(kind, item.amount, item.get_expiry(), remaining, reset, not within)
