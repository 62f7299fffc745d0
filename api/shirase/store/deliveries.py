"""Deliveries: notifications on their way to channels outside the inbox.

They are inserted with their notification (``append``), and sent by the relay (``claims``). Reading, archiving, removing
or muting the notification cancels those that are pending, in the same transaction.
"""

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    CursorResult,
    Executable,
    String,
    and_,
    delete,
    func,
    literal,
    or_,
    select,
    update,
)

from shirase.store import tables
from shirase.store.advance import new_tag
from shirase.store.rules import allowed, in_inbox, planning
from shirase.store.sql import among, document, rows
from shirase.store.tables import UserId
from shirase.types import CANCELLED, DEAD, HELD, PENDING, REPLACED, Delivery, Notification

deliveries = tables.Base.metadata.tables["shirase_deliveries"]
types = tables.Base.metadata.tables["shirase_types"]
policies = tables.Base.metadata.tables["shirase_policies"]
notifications = tables.Base.metadata.tables["shirase_notifications"]

MOST_COUNTED = 100_000
IS_PENDING = deliveries.c.state == PENDING
_NAMES = tuple(field.name for field in fields(Delivery))
_COLUMNS: dict[str, Any] = {
    "user_id": notifications.c.user_id,
    "type_": notifications.c.type,
    "category": notifications.c.category,
    "entry": types.c,
}
OF_DELIVERY = and_(notifications.c.id == deliveries.c.notification_id, notifications.c.user_id == deliveries.c.user_id)
# Whether the user's preferences allow a delivery, joined with its notification and the type's entry.
IS_ALLOWED = and_(in_inbox(**_COLUMNS), allowed(deliveries.c.channel, **_COLUMNS))


def plan(db: Connection, changed: Sequence[Notification], now: datetime) -> None:
    """Insert the deliveries of notifications whose content was replaced, on each channel where none is pending.

    A pending one carries the new content. One that a relay has just claimed may carry the old: it is not tried again.
    """
    stored = [
        {"id": item.id, "user_id": item.user_id, "type": item.content.type, "category": item.content.category}
        for item in changed
    ]
    if stored:
        _end_claimed(db, changed, now)
        db.execute(_plan(db.dialect.name), {"changed": document(stored), "tag": new_tag(), "now": now})


@cache
def _plan(dialect: str) -> Executable:
    changed = rows(dialect, "changed", {"id": BigInteger(), "user_id": UserId, "type": String(), "category": String()})
    stored = select(changed).subquery("stored")
    of_stored = and_(deliveries.c.notification_id == stored.c.id, deliveries.c.user_id == stored.c.user_id)
    # One with a target is for one address of several; ``claims.split`` skips those.
    of_channel = and_(of_stored, deliveries.c.channel == policies.c.channel, deliveries.c.target.is_(None))
    pending = select(literal(1)).where(of_channel, IS_PENDING).exists()
    return planning(dialect, stored, ~pending)


def _end_claimed(db: Connection, changed: Sequence[Notification], now: datetime) -> None:
    """Cancel what relays have claimed. The rest is locked, so that what claims it later reads the new content."""
    query = select(deliveries.c.id, deliveries.c.claimed_until).where(_of(db, changed), IS_PENDING)
    pending = db.execute(query.order_by(deliveries.c.id).with_for_update())
    if claimed := [number for number, until in pending if until and until > now]:
        _cancel(db, among(db.dialect.name, deliveries.c.id, claimed), now, REPLACED)


def release_held(db: Connection, user_id: str, now: datetime) -> None:
    """Make due what quiet hours hold back, because they have changed: a relay then applies the new ones.

    The rest is locked, so that what a relay claims or records later (``claims.finish``) has the new ones too.
    """
    query = select(deliveries.c.id, deliveries.c.reason).where(deliveries.c.user_id == user_id, IS_PENDING)
    pending = db.execute(query.order_by(deliveries.c.id).with_for_update())
    if held := [number for number, reason in pending if reason == HELD]:
        db.execute(update(deliveries).where(among(db.dialect.name, deliveries.c.id, held)).values(due_at=now))


def cancel(db: Connection, changed: Collection[Any], now: datetime, reason: str) -> None:
    """Cancel pending deliveries of these rows of notifications. A delivery that is being sent is not tried again."""
    if changed:
        _cancel(db, _of(db, changed), now, reason)


def _of(db: Connection, changed: Collection[Any]) -> ColumnElement[bool]:
    of_users = among(db.dialect.name, deliveries.c.user_id, {row.user_id for row in changed})
    return and_(of_users, among(db.dialect.name, deliveries.c.notification_id, [row.id for row in changed]))


def cancel_disallowed(db: Connection, user_id: str, now: datetime) -> None:
    """Cancel a user's pending deliveries that their preferences no longer allow."""
    query = (
        select(deliveries.c.id)
        .join_from(deliveries, notifications, OF_DELIVERY)
        .outerjoin(types, types.c.type == notifications.c.type)
        .where(deliveries.c.user_id == user_id, IS_PENDING, ~IS_ALLOWED)
    )
    if muted := list(db.scalars(query, {"now": now})):
        _cancel(db, among(db.dialect.name, deliveries.c.id, muted), now, "muted")


def _cancel(db: Connection, these: ColumnElement[bool], now: datetime, reason: str) -> None:
    ordered = (
        select(deliveries.c.id).where(these, IS_PENDING).order_by(deliveries.c.id).with_for_update().cte("ordered")
    )
    ending = update(deliveries).where(deliveries.c.id == ordered.c.id, IS_PENDING)
    db.execute(ending.values(state=CANCELLED, reason=reason, ended_at=now, claimed_until=None))


def delivery_of(row: Any) -> Delivery:
    """Make a ``Delivery`` of a row."""
    return Delivery(**{name: getattr(row, name) for name in _NAMES})


def of_notification(db: Connection, number: int) -> list[Delivery]:
    """The deliveries of a notification, in the order of their creation."""
    query = select(deliveries).where(deliveries.c.notification_id == number).order_by(deliveries.c.id)
    return [delivery_of(row) for row in db.execute(query)]


def omitted(db: Connection, user_id: str, number: int, now: datetime) -> list[tuple[str, bool]]:
    """The channels of the type's present policy without a delivery of a notification; is each switched off now?"""
    has_one = select(literal(1)).where(OF_DELIVERY, deliveries.c.channel == policies.c.channel).exists()
    query = (
        select(policies.c.channel, ~and_(in_inbox(**_COLUMNS), allowed(policies.c.channel, **_COLUMNS)))
        .join_from(policies, notifications, notifications.c.type == policies.c.type)
        .outerjoin(types, types.c.type == notifications.c.type)
        .where(notifications.c.user_id == user_id, notifications.c.id == number, ~has_one)
        .distinct()
        .order_by(policies.c.channel)
    )
    return [(channel, bool(is_off)) for channel, is_off in db.execute(query, {"now": now})]


def latest(db: Connection, user_ids: Collection[str], channel: str, limit: int) -> list[tuple[Delivery, str | None]]:
    """Users' latest deliveries on a channel, newest first, with the titles of those notifications that still exist."""
    query = (
        select(deliveries, notifications.c.title)
        .outerjoin(notifications, notifications.c.id == deliveries.c.notification_id)
        .where(among(db.dialect.name, deliveries.c.user_id, user_ids), deliveries.c.channel == channel)
    )
    rows = db.execute(query.order_by(deliveries.c.id.desc()).limit(limit))
    return [(delivery_of(row), row.title) for row in rows]


def page(db: Connection, state: str, channel: str | None, limit: int) -> list[Delivery]:
    """The latest deliveries in a state, newest first."""
    query = select(deliveries).where(deliveries.c.state == state)
    if channel:
        query = query.where(deliveries.c.channel == channel)
    return [delivery_of(row) for row in db.execute(query.order_by(deliveries.c.id.desc()).limit(limit))]


def retry(db: Connection, channel: str | None, now: datetime) -> tuple[int, int]:
    """Try dead deliveries again, as if for the first time, and cancel those that a later one replaces.

    Returns the number of each.
    """
    dead = update(deliveries).where(deliveries.c.state == DEAD)
    if channel:
        dead = dead.where(deliveries.c.channel == channel)
    replaced = dead.where(_has_later()).values(state=CANCELLED, reason=REPLACED, ended_at=now)
    cancelled = cast(CursorResult[Any], db.execute(replaced)).rowcount
    renewed = dead.values(state=PENDING, due_at=now, attempts=0, tried_at=None, ended_at=None)
    return cast(CursorResult[Any], db.execute(renewed)).rowcount, cancelled


def _has_later() -> ColumnElement[bool]:
    """Whether the notification, with newer content, has another delivery on the channel, to the same address."""
    later = deliveries.alias("later")
    same = [later.c[name] == deliveries.c[name] for name in ("user_id", "notification_id", "channel")]
    address = or_(later.c.target.is_(None), deliveries.c.target.is_(None), later.c.target == deliveries.c.target)
    return select(literal(1)).where(*same, address, later.c.created_at > deliveries.c.created_at).exists()


def waiting(db: Connection) -> dict[str, tuple[int, datetime | None]]:
    """By channel: how many deliveries are pending, and since when the earliest has been due.

    It reads at most ``MOST_COUNTED`` rows, which bounds the cost after a long outage.
    """
    pending = select(deliveries.c.channel, deliveries.c.due_at).where(IS_PENDING).limit(MOST_COUNTED).subquery()
    counted = select(pending.c.channel, func.count(), func.min(pending.c.due_at)).group_by(pending.c.channel)
    return {channel: (count, oldest) for channel, count, oldest in db.execute(counted)}


def overdue(db: Connection, before: datetime, now: datetime) -> dict[str, tuple[int, datetime]]:
    """By channel: how many deliveries were due before a time and no relay has claimed, and since when the earliest was.

    It reads at most ``MOST_COUNTED`` rows, which bounds the cost after a long outage.
    """
    unclaimed = or_(deliveries.c.claimed_until.is_(None), deliveries.c.claimed_until <= now)
    late = select(deliveries.c.channel, deliveries.c.due_at).where(IS_PENDING, deliveries.c.due_at < before, unclaimed)
    these = late.limit(MOST_COUNTED).subquery()
    counted = select(these.c.channel, func.count(), func.min(these.c.due_at)).group_by(these.c.channel)
    return {channel: (count, oldest) for channel, count, oldest in db.execute(counted)}


def failing(db: Connection) -> tuple[str, int, str] | None:
    """The most frequent failure among pending deliveries: its channel, their number, the reason.

    It reads at most ``MOST_COUNTED`` rows, which bounds the cost after a long outage.
    """
    pending = select(deliveries).where(IS_PENDING).limit(MOST_COUNTED).subquery()
    number = func.count()
    counted = select(pending.c.channel, number, pending.c.reason).group_by(pending.c.channel, pending.c.reason)
    failed = counted.where(pending.c.attempts > 0, pending.c.reason != HELD)
    row = db.execute(failed.order_by(number.desc()).limit(1)).one_or_none()
    return (row[0], row[1], row[2]) if row else None


def count_dead(db: Connection) -> int:
    """How many deliveries are dead; ``MOST_COUNTED`` at the most."""
    dead = select(literal(1)).where(deliveries.c.state == DEAD).limit(MOST_COUNTED).subquery()
    return db.execute(select(func.count()).select_from(dead)).scalar_one()


def remove_ended(db: Connection, before: datetime, limit: int) -> int:
    """Delete deliveries that ended before this time."""
    old = select(deliveries.c.id).where(deliveries.c.ended_at < before)
    old = old.order_by(deliveries.c.ended_at).limit(limit)
    return cast(CursorResult[Any], db.execute(delete(deliveries).where(deliveries.c.id.in_(old)))).rowcount
