"""The relay, the background process: publishes what is still unpublished, and removes what has expired.

Any number of relays may run: the proxy drops repeated events, and a removed row is not found again. A second relay
does some work twice and changes nothing.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shirase import metrics
from shirase.access.tickets import KEPT as TICKETS_KEPT
from shirase.errors import DatabaseUnavailable
from shirase.inbox import audience, connections, events, notifications, scheduled
from shirase.proxy.publisher import Publisher
from shirase.relay import channels, deliveries, presence, webhooks
from shirase.relay.announcements import Spreader, remove_retracted
from shirase.relay.channels import Channel
from shirase.relay.erasures import Eraser
from shirase.settings import Settings
from shirase.store import announcements, log, missed, pending, retention, used_tickets
from shirase.store import deliveries as delivery_store
from shirase.store.database import Database
from shirase.types import RELAY

logger = logging.getLogger(__name__)

PAUSE = 0.5  # seconds between two checks
# While the database or all nodes are unavailable. Waiting events must be delivered within 2 s of their return, of which
# a node may be spared for one second, so a longer pause is not possible.
LONGEST_PAUSE = 0.8
# The process that committed a younger event is most likely publishing it: a broadcast takes that long. Not longer,
# because that process may have been killed, and the event must be delivered within 2 s.
YOUNG = timedelta(seconds=1)
BATCH = 500  # rows read, or removed in one transaction, at a time
BATCHES = 20  # of one kind, before the outbox is checked again
HOUSEKEEPING = 60.0  # seconds between two checks for rows beyond their retention
KEYS_KEPT = timedelta(hours=48)


Attempts = Mapping[tuple[str, int], int]  # of this relay, by (user, seq), for events that no node accepts
Bursts = Mapping[str, int]  # the last result of ``end_bursts``


def run(
    settings: Settings,
    database: Database,
    publisher: Publisher,
    stop: threading.Event,
    reach: Sequence[Channel] | None = None,
) -> None:
    """Repair, remove, deliver and maintain the registry until ``stop`` is set, across outages of any part.

    ``reach`` are the channels outside the inbox; by default those of the settings.
    """
    reach = channels.configured(settings, database) if reach is None else reach
    deliveries.export_counters()
    with ThreadPoolExecutor(2 + len(reach), "beside") as beside:
        # Each in its own thread, so that a hanging control port or mail server does not delay the others.
        running = [beside.submit(work, settings, database, stop) for work in (presence.run, webhooks.run)]
        running += [beside.submit(deliveries.run, database, channel, stop) for channel in reach]
        for item in running:
            item.add_done_callback(lambda _: stop.set())  # a defect ends the process, which the supervisor restarts
        try:
            _repeat(settings, database, publisher, stop)
        finally:
            stop.set()
        for item in running:
            item.result()


def _repeat(settings: Settings, database: Database, publisher: Publisher, stop: threading.Event) -> None:
    pause = PAUSE
    attempts: Attempts = {}
    bursts: Bursts = {}
    spreader, eraser = Spreader(settings), Eraser()
    next_housekeeping = time.monotonic()
    while not stop.wait(pause * random.uniform(0.8, 1.2)):  # noqa: S311 - only desynchronises relays
        try:
            complete, attempts, bursts = _check(database, publisher, spreader, eraser, attempts, bursts)
            if time.monotonic() >= next_housekeeping:
                done = keep_house(settings, database, publisher)
                next_housekeeping = time.monotonic() + (HOUSEKEEPING if done else 0)
            metrics.RELAY_ROUND.set_to_current_time()
        except DatabaseUnavailable as exc:
            complete = False
            logger.warning("the relay waits: %s", exc)
        pause = PAUSE if complete else min(pause * 2, LONGEST_PAUSE)


def _check(
    database: Database,
    publisher: Publisher,
    spreader: Spreader,
    eraser: Eraser,
    attempts: Attempts,
    bursts: Bursts,
) -> tuple[bool, Attempts, Bursts]:
    """Do all pending work. Returns whether all of it succeeded, and the arguments of the next call."""
    with database.autocommit() as db:
        if not pending.anything(db, datetime.now(UTC)):
            return True, {}, {}
    scheduled.send_due(database, publisher)
    spreader.spread(database, publisher)
    remove_retracted(database, publisher)
    repaired = repair(database, publisher, attempts, YOUNG)
    bursts = end_bursts(database, publisher, bursts)
    remove_expired(database, publisher)
    connections.end_due(database, publisher)
    eraser.work(database, publisher)
    return repaired.complete, repaired.attempts, bursts


@dataclass(frozen=True, slots=True)
class Repaired:
    """The result of publishing the outbox."""

    events: int  # accepted by at least one node
    complete: bool  # whether no event is left that no node accepts
    attempts: Attempts  # for the events that are left; an argument of the next call


def repair(
    database: Database, publisher: Publisher, attempts: Attempts | None = None, rest: timedelta = timedelta()
) -> Repaired:
    """Publish events older than ``rest`` that no node has accepted, and have nodes read again what they missed.

    An event that is being published meanwhile may be sent twice; the proxy drops the repeat by its id.
    """
    repaired = 0
    after = ("", 0)
    while True:
        with database.autocommit() as db:
            waiting = log.unpublished(db, after, BATCH, datetime.now(UTC), rest)
        tried = not publisher.is_spared()
        attempts = {
            place: (attempts or {}).get(place, 0) + tried for place in ((event.user_id, event.seq) for event in waiting)
        }
        sent = notifications.publish(database, publisher, waiting, way=RELAY, attempts=attempts)
        repaired += sent
        metrics.RELAY_REPAIRED.inc(sent)
        if not sent:  # nothing is waiting, or no node answers, which would delay the rest too
            break
        after = (waiting[-1].user_id, waiting[-1].seq)
    if repaired:
        logger.info("published %d events that were left unpublished", repaired)
    with database.autocommit() as db:
        behind = missed.nodes(db)
    for node in filter(publisher.knows, behind):  # also one that its host's addresses do not include any more
        _repair_node(database, publisher, node)
    return Repaired(repaired, complete=not waiting, attempts=attempts)


def _repair_node(database: Database, publisher: Publisher, node: str) -> None:
    while True:
        with database.autocommit() as db:
            users = missed.of_node(db, node, BATCH)
            latest = log.latest(db, list(users), datetime.now(UTC)) if users else []
        if not users or not publisher.publish_to(node, events.to_repair(database.name, list(users), latest)):
            return
        with database.transaction() as db:
            missed.remove(db, node, users)
        metrics.RELAY_HINTED.labels(node).inc(len(users))
        logger.info("%s: had the streams of %d users read again", node, len(users))


def end_bursts(database: Database, publisher: Publisher, seen: Bursts) -> Bursts:
    """Have streams read again after a burst, because the proxy may have dropped its end.

    A burst that continues is left alone, since its next event reveals what is missing. ``seen`` is the result of the
    previous call; a burst is over when it has not changed since.
    """
    with database.autocommit() as db:
        bursts = missed.of_node(db, missed.ANY_NODE, BATCH)
        over = {user_id: times for user_id, times in bursts.items() if seen.get(user_id) == times}
        latest = log.latest(db, list(over), datetime.now(UTC)) if over else []
    if over:
        failed: list[tuple[str, str]] = []
        holding = audience.of(database, publisher, over)
        for node in publisher.nodes:
            users = [user_id for user_id in over if node in holding[user_id]]
            items = events.to_repair(database.name, users, [event for event in latest if event.user_id in users])
            if not publisher.publish_to(node, items):
                failed += [(node, user_id) for user_id in users]
        with database.transaction() as db:
            missed.remove(db, missed.ANY_NODE, over)
            if failed:
                missed.record(db, failed)
    return {user_id: times for user_id, times in bursts.items() if user_id not in over}


def remove_expired(database: Database, publisher: Publisher) -> int:
    """Remove expired notifications, on all devices of their users; return their number."""
    return _remove(database, publisher, retention.expired, datetime.now(UTC))


def keep_house(settings: Settings, database: Database, publisher: Publisher) -> bool:
    """Remove some batches of rows beyond their retention; return whether none is left."""
    now = datetime.now(UTC)
    before = now - timedelta(days=settings.retention_days)
    for _ in range(BATCHES):
        notifications_gone = _remove(database, publisher, retention.outdated, before, batches=1)
        with database.transaction() as db:
            events_gone = retention.remove_events(db, before, BATCH)
            keys_gone = retention.remove_keys(db, now - KEYS_KEPT, BATCH)
            tickets_gone = used_tickets.remove(db, now - TICKETS_KEPT, BATCH)
            announcements_gone = announcements.remove_old(db, before, BATCH)
            deliveries_gone = delivery_store.remove_ended(db, before, BATCH)
        metrics.RELAY_REMOVED.labels("events").inc(events_gone)
        metrics.RELAY_REMOVED.labels("keys").inc(keys_gone)
        if not notifications_gone + events_gone + keys_gone + tickets_gone + announcements_gone + deliveries_gone:
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
