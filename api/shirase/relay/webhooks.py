"""The relay's part of webhooks: sends each endpoint's queue, in order.

Any number of relays may do this. An endpoint is claimed by one of them at a time; a relay that dies leaves its claim,
and after ``LEASE`` another one sends unrecorded events again, under the same ids.
"""

import logging
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any

from shirase import metrics
from shirase.errors import DatabaseUnavailable
from shirase.inbox import webhooks as messages
from shirase.outbound import Outbound, Unreachable
from shirase.settings import Settings
from shirase.store import webhooks
from shirase.store.database import Database
from shirase.store.webhooks import Webhook
from shirase.types import Notification

logger = logging.getLogger(__name__)

PAUSE = 0.5  # seconds between two checks
AT_ONCE = 8  # endpoints that one relay sends to
TIMEOUT = 15.0  # seconds for a whole request
LEASE = timedelta(seconds=60)
BATCH = 50  # events read, and recorded, together
RECORD = 1.0  # seconds until accepted events are recorded
CURRENT = 0.1  # seconds for which what was read is sent, so that what is retracted or erased meanwhile is not
TURN = 20.0  # seconds that one endpoint is sent to before another has its turn
FIRST_RETRY, LONGEST_RETRY = timedelta(seconds=5), timedelta(hours=1)
GIVE_UP = timedelta(days=1)  # of failures, after which an endpoint is paused
HOUSEKEEPING = 60.0  # seconds between two checks for orphaned rows
REMOVED = 1000  # rows removed in one transaction


def run(settings: Settings, database: Database, stop: threading.Event) -> None:
    """Send to every endpoint until ``stop`` is set, across outages of the database."""
    busy: set[int] = set()
    next_housekeeping = 0.0
    with ThreadPoolExecutor(AT_ONCE, "webhook") as pool:
        while not stop.wait(PAUSE * random.uniform(0.8, 1.2)):  # noqa: S311 - only desynchronises relays
            try:
                if time.monotonic() >= next_housekeeping:
                    keep_house(settings, database)
                    next_housekeeping = time.monotonic() + HOUSEKEEPING
                with database.autocommit() as db:
                    due = webhooks.due(db, datetime.now(UTC))
            except DatabaseUnavailable as exc:
                logger.warning("webhooks wait: %s", exc)
                continue
            for number in due:
                if number not in busy and len(busy) < AT_ONCE:
                    busy.add(number)
                    done = pool.submit(_work, settings, database, number, stop)
                    done.add_done_callback(lambda _, number=number: busy.discard(number))  # type: ignore[misc]


def keep_house(settings: Settings, database: Database) -> None:
    """Remove queued rows without an endpoint, or beyond the retention."""
    before = datetime.now(UTC) - timedelta(days=settings.retention_days)
    removed = REMOVED
    while removed == REMOVED:
        with database.transaction() as db:
            removed = webhooks.remove_orphans(db, before, REMOVED)


def _work(settings: Settings, database: Database, number: int, stop: threading.Event) -> None:
    try:
        send(settings, database, number, stop)
    except DatabaseUnavailable as exc:
        logger.warning("a webhook waits: %s", exc)
    except Exception:
        logger.exception("a webhook failed")


def send(settings: Settings, database: Database, number: int, stop: threading.Event | None = None) -> int:
    """Send the beginning of an endpoint's queue, until a failure; returns how many events it has accepted."""
    with database.transaction() as db:
        claimed = webhooks.claim(db, number, datetime.now(UTC), LEASE)
    if claimed is None:
        return 0
    webhook, mark = claimed
    outbound = Outbound(settings.outbound_private_hosts, TIMEOUT)
    try:
        turn = _Turn(database, webhook, mark, outbound, stop)
        turn.run()
    finally:
        outbound.close()
    with database.transaction() as db:
        webhooks.release(db, webhook, mark, turn.state)
    return turn.accepted


class _Turn:
    """One endpoint's turn at this relay."""

    def __init__(
        self, database: Database, webhook: Webhook, mark: str, outbound: Outbound, stop: threading.Event | None
    ) -> None:
        self.accepted = 0
        self.state: dict[str, Any] = {}
        self._database, self._webhook, self._mark = database, webhook, mark
        self._outbound, self._stop = outbound, stop
        self._until = time.monotonic() + TURN
        self._done: list[int] = []
        self._recorded_at = time.monotonic()

    def run(self) -> None:
        """Send until the queue is empty, the turn is over, the claim is lost or the endpoint fails.

        What was accepted is recorded, whatever ends the turn.
        """
        try:
            while self._send_batch():
                pass
        finally:
            if self._done:
                self._record()

    def _send_batch(self) -> bool:
        """Whether there may be more to send."""
        read_at = time.monotonic()
        with self._database.autocommit() as db:
            batch = webhooks.first(db, self._webhook.id, BATCH, datetime.now(UTC))
        is_full = len(batch) == BATCH
        while batch:
            if time.monotonic() - read_at > CURRENT:
                read_at = time.monotonic()
                with self._database.autocommit() as db:
                    batch = webhooks.again(db, batch, datetime.now(UTC))
                if not batch:
                    break
            queued = batch.pop(0)
            notification = messages.subscribed(self._webhook, queued)
            if self._is_over() or (notification and not self._post(queued, notification)):
                return False
            self._done.append(queued.id)
            if time.monotonic() - self._recorded_at >= RECORD and not self._record():
                return False
        return self._record() and is_full

    def _is_over(self) -> bool:
        return time.monotonic() > self._until or bool(self._stop and self._stop.is_set())

    def _post(self, queued: webhooks.Queued, notification: Notification) -> bool:
        try:
            body, headers = messages.message(self._webhook, queued, notification, datetime.now(UTC))
            answer = self._outbound.post(self._webhook.url, body, headers)
        except Unreachable as exc:
            self._fail(queued, str(exc))
            return False
        except Exception:
            logger.exception("webhook %s: a message cannot be made", self._webhook.name)
            self._fail(queued, "the message cannot be made")
            return False
        if answer.is_success:
            self.accepted += 1
            self.state = dict(webhooks.FRESH)
            metrics.WEBHOOKS.labels("accepted").inc()
            return True
        redirected = HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST
        reason = f"status {answer.status}" + (", and redirects are not followed" if redirected else "")
        self._fail(queued, reason, timedelta(seconds=answer.retry_after), gone=answer.status == HTTPStatus.GONE)
        return False

    def _fail(
        self, queued: webhooks.Queued, reason: str, after: timedelta = timedelta(), *, gone: bool = False
    ) -> None:
        now = datetime.now(UTC)
        fresh = bool(self.state)  # something was accepted in this turn
        attempts = 1 if fresh else self._webhook.attempts + 1
        since = now if fresh else self._webhook.failing_since or now
        is_paused = gone or now - since >= GIVE_UP
        self.state = {
            "attempts": attempts,
            "failing_since": since,
            "reason": reason,
            "failed_id": queued.id,
            "next_at": now + max(backoff(attempts), min(after, LONGEST_RETRY)),
            "paused_at": now if is_paused else None,
        }
        metrics.WEBHOOKS.labels("paused" if is_paused else "failed").inc()
        log = logger.error if is_paused else logger.warning
        log("webhook %s %s: %s", self._webhook.name, "is paused" if is_paused else "failed", reason)

    def _record(self) -> bool:
        """Record what was accepted, also across a short outage of the database; whether the claim still holds."""
        deadline = time.monotonic() + LEASE.total_seconds() / 2
        done, self._done = self._done, []
        while True:
            try:
                with self._database.transaction() as db:
                    kept = webhooks.keep(db, self._webhook, self._mark, done, datetime.now(UTC) + LEASE)
            except DatabaseUnavailable:
                if time.monotonic() >= deadline:
                    raise
                time.sleep(PAUSE)
            else:
                self._recorded_at = time.monotonic()
                return kept


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many failures: twice as long each time, and up to half of it more or less."""
    usual = min(FIRST_RETRY * int(2 ** min(attempts - 1, 20)), LONGEST_RETRY)
    return usual * random.uniform(0.5, 1.5)  # noqa: S311 - spreads retries, protects nothing
