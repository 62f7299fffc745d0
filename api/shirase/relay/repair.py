"""The relay: the one background process. It repairs what was left behind, and removes what is over.

Any number may run: the proxy drops what it has seen, and what one has removed another does not find. Two relays cost
some work twice and change nothing.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shirase import metrics
from shirase.access.tickets import KEPT as TICKETS_KEPT
from shirase.errors import DatabaseUnavailable
from shirase.inbox import connections, events, notifications
from shirase.proxy.publisher import Publisher
from shirase.relay import presence
from shirase.settings import Settings
from shirase.store import log, missed, pending, retention, used_tickets
from shirase.store.database import Database
from shirase.types import RELAY

logger = logging.getLogger(__name__)

PAUSE = 0.5  # seconds between two looks
# While the database or all proxies are away. What waited is to be delivered within 2 s of their return, and a node may
# be spared for one second of these: there is no room for a longer one.
LONGEST_PAUSE = 0.8
# While whoever committed an event is most likely just publishing it: a broadcast takes that long. No longer, since that
# one may have been killed, and its event is to be delivered within 2 s.
YOUNG = timedelta(seconds=1)
BATCH = 500  # rows held in memory, or removed in one transaction, at a time
BATCHES = 20  # of one kind, before the next look into the outbox
HOUSEKEEPING = 60.0  # seconds between two looks for what is older than is kept
KEYS_KEPT = timedelta(hours=48)


Attempts = Mapping[tuple[str, int], int]  # how often this relay has tried an event (user, seq) that no node takes
Bursts = Mapping[str, int]  # what ``end_bursts`` has seen


def run(settings: Settings, database: Database, publisher: Publisher, stop: threading.Event) -> None:
    """Repair, remove and keep true who is connected until told to stop; an outage of any part is waited out."""
    with ThreadPoolExecutor(1, "presence") as beside:
        # Beside it, because a control port that hangs must not keep it from hearing who leaves.
        keeping = beside.submit(presence.run, settings, database, stop)
        keeping.add_done_callback(lambda _: stop.set())  # a defect ends the process; its supervisor starts it again
        try:
            _repeat(settings, database, publisher, stop)
        finally:
            stop.set()
        keeping.result()


def _repeat(settings: Settings, database: Database, publisher: Publisher, stop: threading.Event) -> None:
    pause = PAUSE
    attempts: Attempts = {}
    bursts: Bursts = {}
    next_housekeeping = time.monotonic()
    while not stop.wait(pause * random.uniform(0.8, 1.2)):  # noqa: S311 - keeps relays out of step, protects nothing
        try:
            well, attempts, bursts = _look(database, publisher, attempts, bursts)
            if time.monotonic() >= next_housekeeping:
                done = keep_house(settings, database, publisher)
                next_housekeeping = time.monotonic() + (HOUSEKEEPING if done else 0)
            metrics.RELAY_ROUND.set_to_current_time()
        except DatabaseUnavailable as exc:
            well = False
            logger.warning("the relay waits: %s", exc)
        pause = PAUSE if well else min(pause * 2, LONGEST_PAUSE)


def _look(
    database: Database, publisher: Publisher, attempts: Attempts, bursts: Bursts
) -> tuple[bool, Attempts, Bursts]:
    """Do what waits to be done; whether all of it could be, and what to hand to the next look."""
    with database.autocommit() as db:
        if not pending.anything(db, datetime.now(UTC)):
            return True, {}, {}
    repaired = repair(database, publisher, attempts, YOUNG)
    bursts = end_bursts(database, publisher, bursts)
    remove_expired(database, publisher)
    connections.end_due(database, publisher)
    return repaired.complete, repaired.attempts, bursts


@dataclass(frozen=True, slots=True)
class Repaired:
    """What came of one look into the outbox."""

    events: int  # that some node has accepted now
    complete: bool  # whether nothing was left because no node takes it
    attempts: Attempts  # of those that were left, as far as they were tried; hand it to the next look


def repair(
    database: Database, publisher: Publisher, attempts: Attempts | None = None, rest: timedelta = timedelta()
) -> Repaired:
    """Publish what no node has accepted, as far as it is older than ``rest``; have nodes read again what they missed.

    An event whose first publish is just under way may be sent twice by this; the proxy knows its id and drops it.
    """
    repaired = 0
    after = ("", 0)
    while True:
        with database.autocommit() as db:
            found = log.unpublished(db, after, BATCH, datetime.now(UTC), rest)
        tried = not publisher.is_spared()
        attempts = {
            place: (attempts or {}).get(place, 0) + tried for place in ((one.user_id, one.seq) for one in found)
        }
        sent = notifications.publish(database, publisher, found, way=RELAY, attempts=attempts)
        repaired += sent
        metrics.RELAY_REPAIRED.inc(sent)
        if not sent:  # there is nothing, or the proxy is away and the rest would only wait for it too
            break
        after = (found[-1].user_id, found[-1].seq)
    if repaired:
        logger.info("published %d events that had been left behind", repaired)
    for node in publisher.nodes:
        _repair_node(database, publisher, node)
    return Repaired(repaired, complete=not found, attempts=attempts)


def _repair_node(database: Database, publisher: Publisher, node: str) -> None:
    while True:
        with database.autocommit() as db:
            told = missed.of_node(db, node, BATCH)
            latest = log.latest(db, list(told), datetime.now(UTC)) if told else []
        if not told or not publisher.publish_to(node, events.to_repair(database.name, list(told), latest)):
            return
        with database.transaction() as db:
            missed.forget(db, node, told)
        metrics.RELAY_HINTED.labels(node).inc(len(told))
        logger.info("told %s to read %d streams again", node, len(told))


def end_bursts(database: Database, publisher: Publisher, seen: Bursts) -> Bursts:
    """Have streams read again to which so much came that the proxy may have dropped the end of it.

    What goes on is left, for what follows shows a stream what it lacks. ``seen`` is what the last look returned; the
    first look at a burst ends none.
    """
    with database.autocommit() as db:
        found = missed.of_node(db, missed.ANY_NODE, BATCH)
        over = {user_id: times for user_id, times in found.items() if seen.get(user_id) == times}
        latest = log.latest(db, list(over), datetime.now(UTC)) if over else []
    if over:
        items = events.to_repair(database.name, list(over), latest)
        away = [node for node in publisher.nodes if not publisher.publish_to(node, items)]
        with database.transaction() as db:
            missed.forget(db, missed.ANY_NODE, over)
            if away:
                missed.remember(db, [(node, user_id) for node in away for user_id in over])
    return {user_id: times for user_id, times in found.items() if user_id not in over}


def remove_expired(database: Database, publisher: Publisher) -> int:
    """Remove notifications whose ``expires_at`` has come, on all devices of their users; returns their number."""
    return _remove(database, publisher, retention.expired, datetime.now(UTC))


def keep_house(settings: Settings, database: Database, publisher: Publisher) -> bool:
    """Remove some batches of what is older than is kept; whether all of it is gone."""
    now = datetime.now(UTC)
    before = now - timedelta(days=settings.retention_days)
    for _ in range(BATCHES):
        gone = _remove(database, publisher, retention.outdated, before, batches=1)
        with database.transaction() as db:
            events_gone = retention.remove_events(db, before, BATCH)
            keys_gone = retention.remove_keys(db, now - KEYS_KEPT, BATCH)
            tickets_gone = used_tickets.remove(db, now - TICKETS_KEPT, BATCH)
        metrics.RELAY_REMOVED.labels("events").inc(events_gone)
        metrics.RELAY_REMOVED.labels("keys").inc(keys_gone)
        if not gone + events_gone + keys_gone + tickets_gone:
            return True
    return False


def _remove(
    database: Database,
    publisher: Publisher,
    find: Callable[..., list[tuple[int, str]]],
    limit: datetime,
    batches: int = BATCHES,
) -> int:
    removed = 0
    for _ in range(batches):
        with database.autocommit() as db:
            due = find(db, limit, BATCH)
        if not due:
            break
        with database.transaction() as db:
            appended = retention.remove(db, due, datetime.now(UTC))
        notifications.publish(database, publisher, appended)
        removed += len(due)
        metrics.RELAY_REMOVED.labels("notifications").inc(len(due))
    return removed
