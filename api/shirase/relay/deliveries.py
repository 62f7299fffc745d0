"""The relay's part of deliveries: claims a channel's due deliveries, hands them over, records the outcomes.

Any number of relays may do this at once. A relay that dies while it sends leaves its rows claimed; another one sends
them again, under the same ids, after ``LEASE``.
"""

import logging
import random
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

from shirase import metrics
from shirase.errors import DatabaseUnavailable
from shirase.policies import CHANNELS
from shirase.relay.channels import Channel, Failed, Item, Outcome, Refused, Sent, Skipped, Split
from shirase.store import claims
from shirase.store.claims import Standing
from shirase.store.database import Database
from shirase.types import CANCELLED, DEAD, EXPIRED, HELD, PENDING, SENT, SKIPPED, Delivery, DeliveryOutcome

logger = logging.getLogger(__name__)

PAUSE = 0.5  # seconds between two checks
LEASE = timedelta(minutes=5)
FIRST_RETRY = timedelta(seconds=5)
LONGEST_RETRY = timedelta(hours=1)
GIVE_UP = timedelta(days=1)  # after the first attempt; or after it was due, if no relay has tried
CLAIMS = 0x5348_4952_4153_4501  # a lock's number, in the database
RECORDED = 50  # outcomes recorded together
RECORD = 1.0  # seconds until an outcome is recorded


def export_counters() -> None:
    """Export every count as 0 from the start, so that an alert sees the first failure as a rise."""
    for channel in CHANNELS:
        for result in (SENT, "retried", "held", SKIPPED, CANCELLED, DEAD):
            metrics.DELIVERIES.labels(channel, result)


def run(database: Database, channel: Channel, stop: threading.Event) -> None:
    """Deliver on one channel until ``stop`` is set, across outages of the database."""
    try:
        while not stop.wait(PAUSE * random.uniform(0.8, 1.2)):  # noqa: S311 - only desynchronises relays
            try:
                deliver(database, channel, stop)
            except DatabaseUnavailable as exc:
                logger.warning("%s: deliveries wait: %s", channel.name, exc)
    finally:
        channel.close()


def deliver(database: Database, channel: Channel, stop: threading.Event | None = None) -> int:
    """Deliver what is due on a channel; returns how many deliveries were claimed."""
    claimed = 0
    while not (stop and stop.is_set()):
        with database.autocommit() as db:
            if not claims.is_due(db, channel.name, datetime.now(UTC)):
                break
        # A digest is claimed by two statements, between which no other relay may claim a part of it.
        with database.transaction(lock=CLAIMS if channel.window else None) as db:
            now = datetime.now(UTC)
            batch = claims.claim(db, channel.name, now, lease=LEASE, limit=channel.batch, window=channel.window)
        if not batch:  # another relay was quicker
            break
        claimed += len(batch)
        _deliver(database, channel, batch)
    return claimed


def _deliver(database: Database, channel: Channel, batch: Sequence[Delivery]) -> None:
    """Deliver a claimed batch; outcomes are recorded as they come, so that a crash repeats few."""
    now = datetime.now(UTC)
    with database.autocommit() as db:
        standings = claims.standings(db, batch, now)
    items: list[Item] = []
    outcomes: dict[int, DeliveryOutcome] = {}
    for delivery in batch:
        standing = standings.get(delivery.id)
        needless = _needless(channel, delivery, standing, now)
        if needless:
            outcomes[delivery.id] = needless
        elif standing:
            items.append(Item(delivery, standing.notification))
    if outcomes:
        _record(database, channel, outcomes)
    if items:
        _send(database, channel, items)


def _needless(channel: Channel, delivery: Delivery, standing: Standing | None, now: datetime) -> DeliveryOutcome | None:
    """The outcome of a delivery that is not to be sent, or not now."""
    if standing is None:
        return DeliveryOutcome(CANCELLED, "removed", counts=False)
    if reason := _cancelled(standing, now):
        return DeliveryOutcome(CANCELLED, reason, counts=False)
    if now - delivery.due_at >= GIVE_UP:
        return DeliveryOutcome(DEAD, "it waited for a day", counts=False)
    if delivery.unless == "connected" and standing.is_connected:
        return DeliveryOutcome(SKIPPED, "connected", counts=False)
    quiet_until = standing.quiet.until(now) if standing.quiet and channel.keeps_quiet else None
    return DeliveryOutcome(PENDING, HELD, quiet_until, counts=False) if quiet_until else None


def _cancelled(standing: Standing, now: datetime) -> str | None:
    """Why a notification is not to be sent any more."""
    notification = standing.notification
    ends = notification.content.expires_at
    reasons = {
        EXPIRED: ends and ends <= now,
        "read": notification.read_at,
        "archived": notification.archived_at,
        "muted": not standing.is_allowed,
    }
    return next((reason for reason, applies in reasons.items() if applies), None)


def _send(database: Database, channel: Channel, items: Sequence[Item]) -> None:
    """Hand items to the channel. The outcomes it yields are recorded, whatever fails afterwards."""
    began = recorded_at = time.monotonic()
    waiting = {item.delivery.id: item for item in items}
    outcomes: dict[int, DeliveryOutcome] = {}
    unsent = Failed("the channel failed")
    for item, outcome in _outcomes(channel, items):
        now = time.monotonic()
        del waiting[item.delivery.id]
        result = _split(database, item.delivery, outcome) if isinstance(outcome, Split) else outcome
        if result:
            outcomes[item.delivery.id] = _recorded(item.delivery, result, datetime.now(UTC))
        if outcomes and (len(outcomes) >= RECORDED or now - recorded_at >= RECORD):
            _record(database, channel, outcomes)
            outcomes, recorded_at = {}, now
        if now - began >= LEASE.total_seconds() / 2 and not _shares(item, waiting.values()):
            unsent = Failed("the channel is slow")  # release the rest, before another relay sends it too
            break
    for number, item in waiting.items():
        outcomes[number] = _recorded(item.delivery, unsent, datetime.now(UTC))
    if outcomes:
        _record(database, channel, outcomes)


def _shares(item: Item, others: Iterable[Item]) -> bool:
    """Whether one of these may have been sent together with the item."""
    return any(other.delivery.user_id == item.delivery.user_id for other in others)


def _split(database: Database, delivery: Delivery, outcome: Split) -> Failed | None:
    try:
        with database.transaction() as db:
            claims.split(db, delivery, outcome.targets, datetime.now(UTC))
    except DatabaseUnavailable as exc:
        return Failed(str(exc))
    return None


def _outcomes(channel: Channel, items: Sequence[Item]) -> Iterator[tuple[Item, Outcome]]:
    try:
        yield from channel.send(items)
    except DatabaseUnavailable as exc:
        logger.warning("%s: the database does not answer: %s", channel.name, exc)
    except Exception:
        logger.exception("%s: the channel failed", channel.name)


def _recorded(delivery: Delivery, outcome: Sent | Skipped | Failed | Refused, now: datetime) -> DeliveryOutcome:
    if isinstance(outcome, Sent):
        return DeliveryOutcome(SENT)
    if isinstance(outcome, Skipped):
        return DeliveryOutcome(SKIPPED, outcome.reason)
    if isinstance(outcome, Refused) or now - (delivery.tried_at or now) >= GIVE_UP:
        return DeliveryOutcome(DEAD, outcome.reason)
    return DeliveryOutcome(PENDING, outcome.reason, now + max(backoff(delivery.attempts), outcome.after or timedelta()))


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many attempts: twice as long each time, and up to half of it more or less."""
    usual = min(FIRST_RETRY * int(2 ** min(attempts - 1, 20)), LONGEST_RETRY)
    return usual * random.uniform(0.5, 1.5)  # noqa: S311 - spreads retries, protects nothing


def _record(database: Database, channel: Channel, outcomes: dict[int, DeliveryOutcome]) -> None:
    """Record outcomes, also across a short outage of the database: unrecorded deliveries are sent again."""
    deadline = time.monotonic() + LEASE.total_seconds() / 4
    while True:
        try:
            with database.transaction() as db:
                claims.finish(db, outcomes, datetime.now(UTC))
            break
        except DatabaseUnavailable:
            if time.monotonic() >= deadline:
                raise
            time.sleep(PAUSE)
    for outcome in outcomes.values():
        result = "retried" if outcome.state == PENDING and outcome.counts else outcome.state
        metrics.DELIVERIES.labels(channel.name, "held" if result == PENDING else result).inc()
