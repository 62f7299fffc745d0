"""Notifications: what producers and users do with them.

Every change is one transaction that also appends to the user's log; then it is published to whoever listens. Should
the second step fail, nothing is lost: the event stays in the outbox and the relay sends it.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from sqlalchemy import Connection

from shirase import logs, metrics
from shirase.errors import DatabaseUnavailable, KeyReused, NotFound, RowsLocked
from shirase.inbox import events
from shirase.inbox.batcher import Batcher, RunSeparately
from shirase.proxy.publisher import Publisher
from shirase.store import append, idempotency, inbox, log, missed, traces
from shirase.store.database import Database
from shirase.types import DELETED, NOTIFICATION, PUBLISH, READ, Draft, Event, Notification, Published, Trace

logger = logging.getLogger(__name__)

T = TypeVar("T")
CreateBatcher = Batcher[Draft, list[Event]]
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
    answer: Callable[[list[Notification]], str],
) -> tuple[str, bool]:
    """Store and publish notifications, all or nothing.

    Args:
        database: where they are stored.
        publisher: who tells the proxy.
        drafts: in the order that they shall have.
        once: makes a repeat harmless.
        batcher: where single ones without a key join those of other threads.
        answer: what to answer, kept for repeats.

    Returns:
        The answer, and whether it is that of an earlier request with the same key.

    Raises:
        KeyReused: if the key was used for another request.
        KeyInProgress: if a request with the same key does not come to an end.
    """
    if batcher and not once and len(drafts) == 1:
        appended = batcher.do(drafts[0])
        _name(appended)
        return answer([event.notification for event in appended if event.notification]), False
    now = datetime.now(UTC)
    with database.transaction() if once else database.transaction(single_statement=True) as db:
        earlier = idempotency.claim(db, once.owner, once.key, once.fingerprint, now) if once else None
        if once and earlier:
            fingerprint, body = earlier
            if fingerprint != once.fingerprint:
                raise KeyReused("this idempotency key was used for another request")
            return body, True
        appended = append.append_notifications(db, drafts, now)
        body = answer([event.notification for event in appended if event.notification])
        if once:
            idempotency.answer(db, once.owner, once.key, body)
    committed_at = datetime.now(UTC)
    metrics.CREATED.inc(len(appended))
    _name(appended)
    publish(database, publisher, appended, committed_at)
    return body, False


def create_batcher(database: Database, publisher: Publisher) -> CreateBatcher:
    """Single creates of all threads: those that wait share one transaction and one publish."""

    def create_all(drafts: Sequence[Draft]) -> list[list[Event]]:
        now = datetime.now(UTC)
        try:
            # A host's open transaction may hold one user's log for seconds; the others must not wait with that one.
            with database.transaction(single_statement=True) as db:
                appended = append.append_notifications(db, drafts, now, patient=len(drafts) == 1)
        except RowsLocked as exc:
            if len(drafts) > 1:
                raise RunSeparately from exc
            raise
        committed_at = datetime.now(UTC)
        _name(appended)
        metrics.CREATED.inc(len(appended))
        publish(database, publisher, appended, committed_at)
        return [[event] for event in appended]

    return Batcher(create_all, MOST_TOGETHER)


def page(
    database: Database,
    user_id: str,
    *,
    limit: int,
    before: int | None,
    unread: bool | None,
    type_: str | None,
) -> tuple[list[Notification], int, int | None]:
    """One page of a user's list, the unread count, and where the next page begins (``None``: there is none)."""
    now = datetime.now(UTC)
    with database.autocommit() as db:
        found = inbox.page(db, user_id, now, limit=limit + 1, before=before, unread=unread, type_=type_)
        count = log.position(db, user_id, now).unread
    shown = found[:limit]
    return shown, count, shown[-1].id if len(found) > limit else None


def get(database: Database, user_id: str, number: int) -> Notification:
    """One of a user's notifications.

    Raises:
        NotFound: if the user has none of this id, whoever else may.
    """
    with database.autocommit() as db:
        found = inbox.get(db, user_id, number, datetime.now(UTC))
    if found is None:
        raise NotFound("there is no such notification")
    return found


def unread_count(database: Database, user_id: str) -> int:
    """How many a user has not read."""
    with database.autocommit() as db:
        return log.position(db, user_id, datetime.now(UTC)).unread


def mark_read(
    database: Database, publisher: Publisher, user_id: str, ids: Sequence[int] | None, device: str | None = None
) -> tuple[int, int]:
    """Mark these (``None``: all) of a user's notifications read; returns how many were not yet, and the count.

    Ids that are another user's, or nobody's, are passed over alike: the answer does not reveal them. ``device`` is the
    user agent, for traces.
    """
    now = datetime.now(UTC)

    def change(db: Connection) -> tuple[append.Change | None, int]:
        changed = inbox.mark_read(db, user_id, ids, now, device)
        data = {"ids": "all" if ids is None else changed}
        return append.Change(user_id, READ, data, -len(changed)) if changed else None, len(changed)

    return _change(database, publisher, user_id, now, change)


def delete(database: Database, publisher: Publisher, user_id: str, number: int) -> None:
    """Remove one of a user's notifications.

    Raises:
        NotFound: if the user has none of this id, whoever else may.
    """
    now = datetime.now(UTC)

    def change(db: Connection) -> tuple[append.Change | None, None]:
        was_unread = inbox.remove(db, user_id, number, now)
        if was_unread is None:
            raise NotFound("there is no such notification")
        return append.Change(user_id, DELETED, {"ids": [number]}, -int(was_unread)), None

    _change(database, publisher, user_id, now, change)


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


def _change(
    database: Database,
    publisher: Publisher,
    user_id: str,
    now: datetime,
    change: Callable[[Connection], tuple[append.Change | None, T]],
) -> tuple[T, int]:
    """Lock the user's log, change the state, append what changed, commit, publish."""
    with database.transaction() as db:
        log.lock(db, [user_id])
        changed, result = change(db)
        appended = append.append_changes(db, [changed], now) if changed else []
        count = log.position(db, user_id, now).unread
    committed_at = datetime.now(UTC)
    _name(appended)
    publish(database, publisher, appended, committed_at)
    return result, count


def _name(appended: Sequence[Event]) -> None:
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
