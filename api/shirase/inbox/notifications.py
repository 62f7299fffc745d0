"""Notifications: what producers and users do with them.

Every change is one transaction that also appends to the user's log; then it is published to whoever listens. Should
the second step fail, nothing is lost: the event stays in the outbox and the relay sends it.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import Connection

from shirase import logs, metrics
from shirase.errors import DatabaseUnavailable, KeyReused, NotFound, RowsLocked
from shirase.inbox import events
from shirase.inbox.batcher import Batcher, RunSeparately
from shirase.proxy.publisher import Publisher
from shirase.store import at_once, idempotency, keyed, log, missed, traces
from shirase.store.database import Database
from shirase.types import NOTIFICATION, PUBLISH, Draft, Event, Published, Stored, Trace

logger = logging.getLogger(__name__)

CreateBatcher = Batcher[Draft, Stored]
MOST_TOGETHER = 64


@dataclass(frozen=True, slots=True)
class Once:
    """A producer's wish that a request has its effect once, however often it is sent."""

    owner: str
    key: str
    fingerprint: str  # of the request: the key must not be used for another one


def create(
    database: Database,
    publisher: Publisher,
    drafts: Sequence[Draft],
    *,
    once: Once | None = None,
    batcher: CreateBatcher | None = None,
    answer: Callable[[list[Stored]], str],
) -> tuple[str, bool]:
    """Store and publish notifications, all or nothing; those with a key replace the user's present one of that key.

    Args:
        database: where they are stored.
        publisher: who tells the proxy.
        drafts: in the order that they shall have.
        once: makes a repeat harmless.
        batcher: where single ones without an idempotency key join those of other threads.
        answer: what to answer, kept for repeats.

    Returns:
        The answer, and whether it is that of an earlier request with the same idempotency key.

    Raises:
        KeyReused: if the key was used for another request.
        KeyInProgress: if a request with the same key does not come to an end.
    """
    if batcher and not once and len(drafts) == 1:
        stored = batcher.do(drafts[0])
        name_events(stored.events)
        return answer([stored]), False
    now = datetime.now(UTC)
    with database.transaction(single_statement=not once and not _keyed(drafts)) as db:
        earlier = claim(db, once, now)
        if earlier is not None:
            return earlier, True
        results = keyed.put(db, drafts, now)
        body = answer(results)
        keep(db, once, body)
    publish_stored(database, publisher, results)
    return body, False


def claim(db: Connection, once: Once | None, now: datetime) -> str | None:
    """Take the idempotency key, if there is one; the answer of an earlier request that took it, ``None`` if none did.

    Raises:
        KeyReused: if the key was used for another request.
        KeyInProgress: if a request with the same key does not come to an end.
    """
    earlier = idempotency.claim(db, once.owner, once.key, once.fingerprint, now) if once else None
    if once is None or earlier is None:
        return None
    fingerprint, body = earlier
    if fingerprint != once.fingerprint:
        raise KeyReused("this idempotency key was used for another request")
    return body


def keep(db: Connection, once: Once | None, body: str) -> None:
    """Keep the answer for repeats."""
    if once:
        idempotency.answer(db, once.owner, once.key, body)


def create_batcher(database: Database, publisher: Publisher) -> CreateBatcher:
    """Single creates of all threads: those that wait share one transaction and one publish."""

    def create_all(drafts: Sequence[Draft]) -> list[Stored]:
        now = datetime.now(UTC)
        try:
            # A host's open transaction may hold one user's log for seconds; the others must not wait with that one.
            results = _replaced(database, drafts, now)
            if results is None:
                with database.transaction(single_statement=not _keyed(drafts)) as db:
                    results = keyed.put(db, drafts, now, patient=len(drafts) == 1)
        except RowsLocked as exc:
            if len(drafts) > 1:
                raise RunSeparately from exc
            raise
        publish_stored(database, publisher, results)
        return results

    return Batcher(create_all, MOST_TOGETHER)


def _replaced(database: Database, drafts: Sequence[Draft], now: datetime) -> list[Stored] | None:
    """What has been replaced in one statement; ``None`` if it takes more."""
    if not all(draft.content.key for draft in drafts):
        return None
    with database.autocommit() as db:
        return at_once.replace_at_once(db, drafts, now)


def _keyed(drafts: Sequence[Draft]) -> bool:
    return any(draft.content.key for draft in drafts)


def publish_stored(database: Database, publisher: Publisher, results: Sequence[Stored]) -> None:
    """Publish what has been stored and committed."""
    committed_at = datetime.now(UTC)
    appended = [event for one in results for event in one.events]
    metrics.CREATED.inc(sum(one.is_new for one in results))
    name_events(appended)
    publish(database, publisher, appended, committed_at)


def trace(database: Database, publisher: Publisher, number: int) -> Trace:
    """What became of a notification, whoever's it is.

    Raises:
        NotFound: if it was deleted, has expired and been removed, or never was.
    """
    with database.autocommit() as db:
        found = traces.find(db, number, publisher.nodes)
    if found is None:
        raise NotFound("there is no such notification: it was deleted, has expired, or never was")
    return found


def name_events(appended: Sequence[Event]) -> None:
    """Have the lines of this request say which events are its own, as ``USER/SEQ``."""
    if appended:
        more = f" and {len(appended) - 1} more" if len(appended) > 1 else ""
        logs.bind(event=f"{appended[0].user_id}/{appended[0].seq}{more}")


def publish_places(database: Database, publisher: Publisher, places: Iterable[tuple[str, int]]) -> None:
    """Send what was appended at these (user, seq) in a transaction of a host's; never raises.

    What the database does not show was rolled back, with a savepoint or as a whole, or is not committed yet since the
    host's session was itself joined into a longer transaction. The relay sends that one when it is.
    """
    try:
        committed_at = datetime.now(UTC)
        with database.autocommit() as db:
            found = log.unpublished_among(db, places, committed_at)
        metrics.CREATED.inc(sum(event.kind == NOTIFICATION for event in found))
        publish(database, publisher, found, committed_at)
    except Exception:
        # The host's change is committed: an error here must not look as if it were not.
        logger.exception("a host's notifications were not published, and are left to the relay")


def publish(
    database: Database,
    publisher: Publisher,
    appended: Sequence[Event],
    committed_at: datetime | None = None,
    *,
    way: str = PUBLISH,
    attempts: Mapping[tuple[str, int], int] | None = None,
) -> int:
    """Send committed events to the proxy and note who accepted them; returns how many any node accepted.

    Args:
        database: where it is noted.
        publisher: who tells the proxy.
        appended: the events.
        committed_at: when they were committed, if that is known.
        way: whether this is the first publish or the relay.
        attempts: how often it was tried by that way, this time included; once, where it is not said.
    """
    if not appended:
        return 0
    items = events.to_items(database.name, appended)
    with metrics.PUBLISH_SECONDS.time():
        accepted = publisher.publish([item for item, _ in items])
    everywhere = frozenset(publisher.nodes)
    sent: list[Published] = []
    behind: list[tuple[str, str]] = []
    results: Counter[str] = Counter()
    for (_, told), nodes in zip(items, accepted, strict=True):
        results["failed" if not nodes else "accepted" if nodes == everywhere else "partial"] += len(told)
        if nodes:
            sent += [Published(event, nodes, _tries(event, attempts)) for event in told]
            behind += [(node, told[0].user_id) for node in everywhere - nodes]
            # The proxy keeps 100 items for a stream that is just being read, and drops the rest in silence. No stream
            # can have lost any without passing one of these places, and the relay tells it when the burst is over.
            behind += [(missed.ANY_NODE, event.user_id) for event in told if event.seq % events.BURST == 0]
    for result, count in results.items():
        metrics.PUBLISHED.labels(result).inc(count)
    if len(sent) < len(appended) and way == PUBLISH:
        logger.info("%d of %d events are left to the relay", len(appended) - len(sent), len(appended))
    if not sent:
        return 0
    now = datetime.now(UTC)
    metrics.observe_ages(way, (one.event.created_at for one in sent), now)
    _mark(database, sent, behind, now, way=way, committed_at=committed_at)
    return len(sent)


def _tries(event: Event, attempts: Mapping[tuple[str, int], int] | None) -> int:
    return attempts.get((event.user_id, event.seq)) or 1 if attempts else 1


def _mark(
    database: Database,
    sent: Sequence[Published],
    behind: Sequence[tuple[str, str]],
    now: datetime,
    *,
    way: str,
    committed_at: datetime | None,
) -> None:
    try:
        # Should a power cut undo it, the relay sends them again, which the proxy drops.
        with (
            database.transaction(durable=False)
            if behind
            else database.transaction(single_statement=True, durable=False) as db
        ):
            log.mark_published(db, sent, now, way=way, committed_at=committed_at)
            if behind:
                missed.remember(db, behind)
    except DatabaseUnavailable:
        # Committed and sent: the caller has its notification. The relay sends it again, which the proxy drops.
        logger.warning("the database went away before %d events could be marked as published", len(sent))
