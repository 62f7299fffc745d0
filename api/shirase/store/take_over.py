"""Append announcements to users' logs as notifications, under the users' locks, exactly once.

Each user has a mark: the last announcement that was considered. Newer ones of the user's topics are appended, and the
mark moves in the same transaction, so that a repeat appends nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Connection, case, literal, select, update

from shirase.store import announcements, keyed, tables, topics
from shirase.store.advance import appear
from shirase.store.sql import among, setting
from shirase.store.topics import Membership
from shirase.types import EVERYONE, Draft, Stored

rows = tables.Base.metadata.tables["shirase_announcements"]
streams = tables.Base.metadata.tables["shirase_streams"]

CONSIDERED = 1000  # announcements at a time
PAIRS = 1000  # notifications at a time, or those of one announcement if they are more


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What was appended."""

    stored: Sequence[Stored]
    users: int  # that were considered; those whose logs are locked may have been skipped
    complete: bool  # otherwise there may be more: call again


def take_over(
    db: Connection,
    user_ids: Collection[str],
    now: datetime,
    *,
    claimed: Collection[str] | None = None,
    patience: str | None = None,
    skip_locked: bool = False,
) -> TakenOver:
    """Append to these users' logs the announcements for them that they lack.

    Args:
        db: a transaction that writes.
        user_ids: the users. One without a log gets it now, unless locked logs are skipped.
        now: when.
        claimed: the topics in the token of the only user; ``None`` if it has no such claim.
        patience: PostgreSQL's lock timeout, if not the default; then raises ``RowsLocked``.
        skip_locked: whether to skip users whose logs are locked.
    """
    marks = _lock(db, user_ids, patience, skip_locked=skip_locked)
    if not marks:
        return TakenOver((), 0, complete=True)
    if claimed is not None:
        marks = _claim(db, marks, claimed)
    changed = [user_id for user_id, mark in marks.items() if mark.topics_changed]
    lowest = min(mark.announced for mark in marks.values())
    considered, complete = _considered(db, min(lowest, topics.lowest_mark(db, changed)) if changed else lowest)
    of_topics = topics.of_users(db, marks, {announcement.topic for announcement in considered} - {EVERYONE})
    due, upto = _first_of(considered, marks, of_topics, now)
    complete = complete and (not considered or upto == considered[-1].id)
    stored = _append(db, due, now)
    if upto:
        _advance(db, marks, upto)
    if changed:
        _settle(db, changed, upto, complete=complete)
    return TakenOver(stored, len(marks), complete)


class Mark(NamedTuple):
    """How far a user has considered announcements."""

    user_id: str
    appeared: int
    announced: int
    topics_changed: bool
    claimed: str | None


Marks = Mapping[str, Mark]


def _lock(db: Connection, user_ids: Collection[str], patience: str | None, *, skip_locked: bool) -> Marks:
    """Lock the users' logs; returns how far each has considered announcements."""
    marks = _lock_known(db, user_ids, patience, skip_locked=skip_locked)
    if not skip_locked and (missing := set(user_ids) - set(marks)):
        appear(db, missing)
        marks |= _lock_known(db, missing, patience, skip_locked=False)
    return marks


def _lock_known(
    db: Connection, user_ids: Collection[str], patience: str | None, *, skip_locked: bool
) -> dict[str, Mark]:
    query = select(*(streams.c[name] for name in Mark._fields)).where(
        among(db.dialect.name, streams.c.user_id, user_ids)
    )
    if patience and db.dialect.name != "sqlite":
        query = query.where(setting("lock_timeout", patience))
    rows = db.execute(query.order_by(streams.c.user_id).with_for_update(skip_locked=skip_locked))
    return {row.user_id: Mark(*row) for row in rows}


def _claim(db: Connection, marks: Marks, named: Collection[str]) -> Marks:
    """Record the topics in the only user's token, if they differ from those of the previous token."""
    [(user_id, mark)] = marks.items()
    if topics.digest(named) == (mark.claimed or ""):
        return marks
    topics.claim(db, user_id, named)
    return {user_id: mark._replace(topics_changed=True)}


def _considered(db: Connection, after: int) -> tuple[Sequence[Any], bool]:
    """The announcements after this one, in order, and whether these are all."""
    columns = [rows.c[name] for name in ("id", "topic", "for_newcomers", "expires_at", "retracted_at")]
    query = select(*columns).where(rows.c.id > after).order_by(rows.c.id).limit(CONSIDERED)
    considered = db.execute(query).all()
    return considered, len(considered) < CONSIDERED


def _first_of(
    considered: Sequence[Any], marks: Marks, of_topics: dict[tuple[str, str], Membership], now: datetime
) -> tuple[list[tuple[int, str]], int]:
    """The pairs (announcement, user) to append, at most about ``PAIRS``; and the last announcement among them."""
    due: list[tuple[int, str]] = []
    upto = 0
    for announcement in considered:
        users = [user_id for user_id, mark in marks.items() if _is_for(announcement, mark, of_topics, now)]
        if due and len(due) + len(users) > PAIRS:
            break
        due += [(announcement.id, user_id) for user_id in sorted(users)]
        upto = announcement.id
    return due, upto


def _is_for(announcement: Any, mark: Mark, of_topics: dict[tuple[str, str], Membership], now: datetime) -> bool:
    if announcement.retracted_at or (announcement.expires_at and announcement.expires_at <= now):
        return False
    if announcement.topic == EVERYONE:
        since, considered = mark.appeared, mark.announced
    elif membership := of_topics.get((mark.user_id, announcement.topic)):
        since, considered = membership[0], mark.announced if membership[1] is None else membership[1]
    else:
        return False
    return bool(announcement.id > considered and (announcement.id > since or announcement.for_newcomers))


def _append(db: Connection, due: Sequence[tuple[int, str]], now: datetime) -> Sequence[Stored]:
    if not due:
        return ()
    contents = announcements.contents(db, {number for number, _ in due})
    drafts = [
        Draft(user_id, content.draft.content, content.draft.fold, content.draft.quiet, content.id, content.created_at)
        for number, user_id in due
        if (content := contents.get(number))
    ]
    return keyed.put(db, drafts, now) if drafts else ()


def _advance(db: Connection, user_ids: Collection[str], upto: int) -> None:
    these = among(db.dialect.name, streams.c.user_id, user_ids)
    further = case((streams.c.announced > upto, streams.c.announced), else_=literal(upto, BigInteger()))
    db.execute(update(streams).where(these).values(announced=further))


def _settle(db: Connection, user_ids: Collection[str], upto: int, *, complete: bool) -> None:
    """Record how far announcements were considered for topics that users joined recently."""
    topics.advance_marks(db, user_ids, upto, complete=complete)
    if complete:
        these = among(db.dialect.name, streams.c.user_id, user_ids)
        db.execute(update(streams).where(these).values(topics_changed=False))
