"""Notifications: create, publish and trace them.

Every change is one transaction that also appends to the user's log; afterwards its events are published. If
publishing fails, nothing is lost: the events stay in the outbox, and the relay publishes them.
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from sqlalchemy import Connection

from shirase import logs, metrics
from shirase.errors import DatabaseUnavailable, KeyReused, NotFound, RowsLocked
from shirase.inbox import audience, events
from shirase.inbox.batcher import Batcher, RunSeparately
from shirase.proxy.publisher import Publisher
from shirase.store import at_once, idempotency, keyed, log, marks, missed, traces
from shirase.store.database import Database
from shirase.types import PUBLISH, Draft, Event, Published, Stored, Trace

logger = logging.getLogger(__name__)

CreateBatcher = Batcher[Draft, Stored]
MOST_TOGETHER = 64
LARGE = 1000  # notifications of one request, from which on the answer does not wait for the mark of their events


@dataclass(frozen=True, slots=True)
class Once:
    """A producer's idempotency key, with which a repeated request has its effect once."""

    owner: str
    key: str
    fingerprint: str  # of the request; the key is refused for a different one


def create(
    database: Database,
    publisher: Publisher,
    drafts: Sequence[Draft],
    *,
    once: Once | None = None,
    batcher: CreateBatcher | None = None,
    answer: Callable[[list[Stored]], str],
) -> tuple[str, bool]:
    """Store and publish notifications, all or nothing; one with a key replaces the user's present one of that key.

    Args:
        database: where they are stored.
        publisher: sends their events to the proxy.
        drafts: the notifications, in order.
        once: the idempotency key, if any.
        batcher: joins single drafts without an idempotency key with those of other threads.
        answer: makes the answer, which is stored with the idempotency key.

    Returns:
        The answer, and whether it is that of an earlier request with the same idempotency key.

    Raises:
        KeyReused: if the key was used for another request.
        KeyInProgress: if a request with the same key does not end.
    """
    if batcher and not once and len(drafts) == 1:
        stored = batcher.do(drafts[0])
        name_events(stored.events)
        return answer([stored]), False
    now = datetime.now(UTC)
    with database.transaction(single_statement=not once and not keyed.have_keys(drafts)) as db:
        earlier = claim(db, once, now)
        if earlier is not None:
            return earlier, True
        results = keyed.put(db, drafts, now)
        body = answer(results)
        keep(db, once, body)
    publish_stored(database, publisher, results, mark_later=len(results) >= LARGE)
    return body, False


def claim(db: Connection, once: Once | None, now: datetime) -> str | None:
    """Claim the idempotency key, if any; returns the answer of an earlier request with it, or ``None``.

    Raises:
        KeyReused: if the key was used for another request.
        KeyInProgress: if a request with the same key does not end.
    """
    earlier = idempotency.claim(db, once.owner, once.key, once.fingerprint, now) if once else None
    if once is None or earlier is None:
        return None
    fingerprint, body = earlier
    if fingerprint != once.fingerprint:
        raise KeyReused("this idempotency key was used for another request")
    return body


def keep(db: Connection, once: Once | None, body: str) -> None:
    """Store the answer with the idempotency key, if any."""
    if once:
        idempotency.answer(db, once.owner, once.key, body)


def create_batcher(database: Database, publisher: Publisher) -> CreateBatcher:
    """A batcher for single creates: those that wait at once share a transaction and a publish."""

    def create_all(drafts: Sequence[Draft]) -> list[Stored]:
        now = datetime.now(UTC)
        try:
            # A host's open transaction may lock one user's log for seconds, which must not delay the other users.
            results = _replaced(database, drafts, now)
            if results is None:
                with database.transaction(single_statement=not keyed.have_keys(drafts)) as db:
                    results = keyed.put(db, drafts, now, patient=len(drafts) == 1)
        except RowsLocked as exc:
            if len(drafts) > 1:
                raise RunSeparately from exc
            raise
        publish_stored(database, publisher, results)
        return results

    return Batcher(create_all, MOST_TOGETHER)


def _replaced(database: Database, drafts: Sequence[Draft], now: datetime) -> list[Stored] | None:
    """Replace in one statement; ``None``, and nothing is changed, if that is not possible."""
    if not all(draft.content.key for draft in drafts):
        return None
    with database.autocommit() as db:
        return at_once.replace_at_once(db, drafts, now)


def publish_stored(
    database: Database, publisher: Publisher, results: Sequence[Stored], *, mark_later: bool = False
) -> None:
    """Publish the events of notifications that have been stored and committed."""
    committed_at = datetime.now(UTC)
    appended = [event for result in results for event in result.events]
    metrics.CREATED.inc(sum(result.is_new for result in results))
    name_events(appended)
    is_append = len({event.id.tag for event in appended}) == 1
    publish(database, publisher, appended, committed_at, is_append=is_append, mark_later=mark_later)


def trace(database: Database, publisher: Publisher, number: int) -> Trace:
    """The trace of a notification of any user.

    Raises:
        NotFound: if it was deleted, has expired and been removed, or never existed.
    """
    with database.autocommit() as db:
        row = traces.find(db, number, publisher.nodes)
    if row is None:
        raise NotFound("there is no such notification: it was deleted, has expired, or never existed")
    return row


def name_events(appended: Sequence[Event]) -> None:
    """Add the request's events to its log lines, as ``USER/SEQ``."""
    if appended:
        more = f" and {len(appended) - 1} more" if len(appended) > 1 else ""
        logs.bind(event=f"{appended[0].user_id}/{appended[0].seq}{more}")


def publish_places(database: Database, publisher: Publisher, places: Collection[tuple[str, int]]) -> None:
    """Publish the events at these (user, seq), which a host's transaction appended; never raises.

    While no control port answers, they are left to the relay without being read.

    Events that are missing in the database were rolled back, or are not committed yet, because the host's session takes
    part in a longer transaction. The relay publishes the latter after their commit.
    """
    if publisher.is_spared():
        logger.info("%d events are left to the relay: no control port answers", len(places))
        return
    try:
        committed_at = datetime.now(UTC)
        with database.autocommit() as db:
            unpublished = log.unpublished_among(db, places, committed_at)
        publish(database, publisher, unpublished, committed_at)
    except Exception:
        # The host's change is committed, so an error here must not look like a failed commit.
        logger.exception("a host's notifications were not published, and are left to the relay")


def publish(
    database: Database,
    publisher: Publisher,
    appended: Sequence[Event],
    committed_at: datetime | None = None,
    *,
    way: str = PUBLISH,
    attempts: Mapping[tuple[str, int], int] | None = None,
    is_append: bool = False,
    mark_later: bool = False,
) -> int:
    """Send committed events to the proxy, and record which nodes accepted them.

    Args:
        database: where that is recorded.
        publisher: sends the events.
        appended: the events.
        committed_at: the time of their commit, if known.
        way: ``PUBLISH`` for the first publish, or ``RELAY``.
        attempts: attempts of that way by (user, seq), including this one; 1 where missing.
        is_append: they are all the events of one append.
        mark_later: have a thread record it, on a connection of its own, so that the caller does not wait.

    Returns:
        The number of events that are done: at least one node accepted them, or those that did not are noted.
    """
    if not appended:
        return 0
    everywhere = frozenset(publisher.nodes)
    holding = audience.of(database, publisher, {event.user_id for event in appended})
    # Most users of a broadcast may have no stream: their events are not even encoded.
    unneeded = [event for event in appended if everywhere and not holding[event.user_id]]
    needed = [event for event in appended if holding[event.user_id] or not everywhere]
    items = events.to_items(database.name, needed)
    targets = [holding[covered[0].user_id] for _, covered in items]
    with metrics.PUBLISH_SECONDS.time():
        accepted = publisher.publish([item for item, _ in items], targets, patient=way != PUBLISH)
    sent: dict[Published, list[Event]] = {}
    _add(sent, unneeded, Published(frozenset(), needed=False), attempts)
    behind: list[tuple[str, str]] = []
    results = Counter(unneeded=len(unneeded))
    for (_, covered), target, nodes in zip(items, targets, accepted, strict=True):
        results["failed" if not nodes else "accepted" if nodes == target else "partial"] += len(covered)
        # An event that no node accepts stays in the outbox. One that some node accepts is noted for the others, so that
        # events which wait for an unreachable node do not delay the rest.
        if nodes or not target >= everywhere:
            _add(sent, covered, Published(nodes), attempts)
            behind += [(node, covered[0].user_id) for node in target - nodes]
            # The proxy queues 100 items for a stream that is recovering, and drops the rest silently. A stream that
            # lost any has passed one of these events, so the relay sends its user a hint when the burst is over.
            behind += [(missed.ANY_NODE, event.user_id) for event in covered if event.seq % events.BURST == 0]
    for result, count in results.items():
        metrics.PUBLISHED.labels(result).inc(count)
    count = sum(map(len, sent.values()))
    if count < len(appended) and way == PUBLISH:
        logger.info("%d of %d events are left to the relay", len(appended) - count, len(appended))
    if not sent:
        return 0
    now = datetime.now(UTC)
    metrics.observe_ages(way, (event.created_at for own in sent.values() for event in own), now)
    is_append = is_append and count == len(appended)
    mark = partial(_mark, database, sent, behind, now, way=way, committed_at=committed_at, is_append=is_append)
    if mark_later:
        threading.Thread(target=mark, name="mark").start()
    else:
        mark()
    return count


def _add(
    sent: dict[Published, list[Event]],
    events_: Sequence[Event],
    how: Published,
    attempts: Mapping[tuple[str, int], int] | None,
) -> None:
    """Add events, each with its attempts, to those that left the outbox."""
    if not attempts:
        if events_:
            sent.setdefault(how, []).extend(events_)
        return
    for event in events_:
        tries = attempts.get((event.user_id, event.seq)) or 1
        sent.setdefault(how._replace(attempts=tries), []).append(event)


def _mark(
    database: Database,
    sent: Mapping[Published, Sequence[Event]],
    behind: Sequence[tuple[str, str]],
    now: datetime,
    *,
    way: str,
    committed_at: datetime | None,
    is_append: bool,
) -> None:
    try:
        # If a power cut undoes this, the relay publishes the events again, and the proxy drops the repeats.
        with (
            database.transaction(durable=False)
            if behind
            else database.transaction(single_statement=True, durable=False) as db
        ):
            marks.mark_published(db, sent, now, way=way, committed_at=committed_at, is_append=is_append)
            if behind:
                missed.record(db, behind)
    except DatabaseUnavailable:
        # The notification is committed and sent. The relay will publish it again, and the proxy drops the repeat.
        logger.warning("the database became unavailable before events were marked as published")
