"""Claims: the relay claims the row of a due delivery, sends it, and records the outcome.

Rows are locked in the order of their ids, here and in ``deliveries.cancel``, so that the two cannot deadlock.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from functools import cache
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    CursorResult,
    String,
    Update,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    update,
)

from shirase.fields import rfc3339
from shirase.quiet_hours import QuietHours
from shirase.store import inbox, tables
from shirase.store.deliveries import IS_ALLOWED, IS_PENDING, OF_DELIVERY, delivery_of
from shirase.store.sql import among, document, rows
from shirase.store.tables import Moment
from shirase.types import HELD, PENDING, SENT, Delivery, DeliveryOutcome, Notification

deliveries = tables.Base.metadata.tables["shirase_deliveries"]
quiet_hours = tables.Base.metadata.tables["shirase_quiet_hours"]
types = tables.Base.metadata.tables["shirase_types"]
notifications = tables.Base.metadata.tables["shirase_notifications"]
connections = tables.Base.metadata.tables["shirase_connections"]

MOST_BUNDLED = 500  # rows of one user that are claimed for their window


def is_due(db: Connection, channel: str, now: datetime) -> bool:
    """Whether anything is due on this channel and not claimed."""
    query = select(literal(1)).where(_free(channel, now), deliveries.c.due_at <= now).limit(1)
    return db.execute(query).scalar_one_or_none() is not None


def claim(
    db: Connection, channel: str, now: datetime, *, lease: timedelta, limit: int, window: timedelta = timedelta()
) -> list[Delivery]:
    """Claim the due deliveries of a channel, the earliest first, except those that another relay is claiming.

    Args:
        db: a transaction that writes.
        channel: its name.
        now: the time.
        lease: the time after which the rows are free again, if the relay dies.
        limit: rows, without those of ``window``.
        window: if it is not zero, bundle a user's due rows with those that are due within this time and have waited
            for half of theirs, ``MOST_BUNDLED`` at a time. What was bundled before stays so, and is claimed as a whole.
            This needs a lock against other claims.
    """
    due = select(deliveries.c.id).where(_free(channel, now), deliveries.c.due_at <= now)
    claimed = _claim(db, due.order_by(deliveries.c.due_at, deliveries.c.id).limit(limit), now, lease)
    if claimed and window:
        if any(item.bundle for item in claimed):
            claimed += _claim(db, _rest_of_bundles(db, channel, claimed, now), now, lease)
        if not all(item.bundle for item in claimed):
            claimed += _claim(db, _soon(db, channel, claimed, now, window), now, lease)
        claimed = _bundle(db, claimed)
    return claimed


def _free(channel: str, now: datetime) -> ColumnElement[bool]:
    unclaimed = or_(deliveries.c.claimed_until.is_(None), deliveries.c.claimed_until <= now)
    return and_(IS_PENDING, deliveries.c.channel == channel, unclaimed)


def _rest_of_bundles(db: Connection, channel: str, claimed: Sequence[Delivery], now: datetime) -> Any:
    of_users = among(db.dialect.name, deliveries.c.user_id, {item.user_id for item in claimed})
    of_bundles = among(db.dialect.name, deliveries.c.bundle, {item.bundle for item in claimed if item.bundle})
    return select(deliveries.c.id).where(of_users, _free(channel, now), of_bundles).order_by(deliveries.c.id)


def _soon(db: Connection, channel: str, claimed: Sequence[Delivery], now: datetime, window: timedelta) -> Any:
    """What goes early with the new bundles: never a reminder with what it reminds of, nor before half of its time."""
    of_users = among(db.dialect.name, deliveries.c.user_id, {item.user_id for item in claimed if not item.bundle})
    first = func.row_number().over(partition_by=deliveries.c.user_id, order_by=(deliveries.c.due_at, deliveries.c.id))
    columns = (deliveries.c.id, deliveries.c.notification_id, deliveries.c.created_at, deliveries.c.due_at)
    soon = (
        select(*columns, first.label("number"))
        .where(of_users, _free(channel, now), deliveries.c.bundle.is_(None), deliveries.c.due_at <= now + window)
        .subquery()
    )
    bounded = select(soon).where(soon.c.number <= MOST_BUNDLED).order_by(soon.c.due_at, soon.c.id)
    taken, ids = {item.notification_id for item in claimed}, []
    for row in db.execute(bounded):
        has_waited = row.due_at - now <= now - row.created_at and row.notification_id not in taken
        if row.due_at <= now or has_waited:
            taken.add(row.notification_id)
            ids.append(row.id)
    these = among(db.dialect.name, deliveries.c.id, ids)
    return select(deliveries.c.id).where(these, _free(channel, now)).order_by(deliveries.c.id)


def _bundle(db: Connection, claimed: Sequence[Delivery]) -> list[Delivery]:
    """Bundle, by user, what is in no bundle yet. The bundle's name is the first one's id."""
    names: dict[str, str] = {}
    for item in claimed:
        if item.bundle is None:
            names.setdefault(item.user_id, item.uid)
    new = [{"id": item.id, "bundle": names[item.user_id]} for item in claimed if item.bundle is None]
    if new:
        these = among(db.dialect.name, deliveries.c.id, [row["id"] for row in new])
        db.execute(_name_bundles(db.dialect.name).where(these), {"bundles": document(new)})
    return [item if item.bundle else replace(item, bundle=names[item.user_id]) for item in claimed]


@cache
def _name_bundles(dialect: str) -> Update:
    named = rows(dialect, "bundles", {"id": BigInteger(), "bundle": String()})
    return update(deliveries).where(deliveries.c.id == named.c.id).values(bundle=named.c.bundle)


def _claim(db: Connection, free: Any, now: datetime, lease: timedelta) -> list[Delivery]:
    picked = free.with_for_update(skip_locked=True).cte("picked")
    claiming = (
        update(deliveries)
        .where(deliveries.c.id == picked.c.id)
        .values(
            claimed_until=now + lease,
            attempts=deliveries.c.attempts + 1,
            tried_at=func.coalesce(deliveries.c.tried_at, literal(now, Moment())),
        )
        .returning(*deliveries.c)
    )
    return sorted(map(delivery_of, db.execute(claiming)), key=lambda delivery: (delivery.due_at, delivery.id))


@dataclass(frozen=True, slots=True)
class Standing:
    """The state that decides whether a claimed delivery is still to be sent."""

    notification: Notification
    is_allowed: bool  # by the user's preferences
    is_connected: bool  # the user has a stream open
    quiet: QuietHours | None


def standings(db: Connection, claimed: Collection[Delivery], now: datetime) -> Mapping[int, Standing]:
    """By delivery id: the notification and its user. Notifications that are gone are missing."""
    streams = select(literal(1)).where(
        connections.c.user_id == notifications.c.user_id,
        connections.c.ended_at.is_(None),
        or_(connections.c.expires_at.is_(None), connections.c.expires_at > now),
    )
    query = (
        select(
            deliveries.c.id.label("delivery_id"),
            IS_ALLOWED.label("is_allowed"),
            streams.exists().label("is_connected"),
            quiet_hours.c.starts,
            quiet_hours.c.ends,
            quiet_hours.c.timezone,
            *notifications.c,
        )
        .join_from(deliveries, notifications, OF_DELIVERY)
        .outerjoin(types, types.c.type == notifications.c.type)
        .outerjoin(quiet_hours, quiet_hours.c.user_id == deliveries.c.user_id)
        .where(among(db.dialect.name, deliveries.c.id, [item.id for item in claimed]))
    )
    return {
        row.delivery_id: Standing(inbox.notification_of(row), bool(row.is_allowed), bool(row.is_connected), _quiet(row))
        for row in db.execute(query, {"now": now})
    }


def _quiet(row: Any) -> QuietHours | None:
    if row.timezone is None:
        return None
    return QuietHours(time.fromisoformat(row.starts), time.fromisoformat(row.ends), row.timezone)


def finish(db: Connection, outcomes: Mapping[int, DeliveryOutcome], now: datetime) -> None:
    """Record outcomes by delivery id, and release the rows. One cancelled meanwhile stays so, unless it was sent.

    Args:
        db: a transaction that writes.
        outcomes: by delivery id.
        now: the time.
    """
    _lock(db, list(outcomes))
    outcomes = {**outcomes, **_held(db, outcomes, now)}
    results = [
        {
            "id": number,
            "state": outcome.state,
            "reason": outcome.reason,
            "due_at": rfc3339(outcome.due_at) if outcome.due_at else None,
            "attempts": 0 if outcome.counts else 1,
        }
        for number, outcome in sorted(outcomes.items())
    ]
    # From the join alone the planner would not know how few rows there are.
    these = among(db.dialect.name, deliveries.c.id, list(outcomes))
    db.execute(_finish(db.dialect.name).where(these), {"results": document(results), "now": now})


def _held(db: Connection, outcomes: Mapping[int, DeliveryOutcome], now: datetime) -> dict[int, DeliveryOutcome]:
    """The outcomes that quiet hours hold back, by those in force now: they may have changed since they were read."""
    held = [number for number, outcome in outcomes.items() if outcome.reason == HELD]
    if not held:
        return {}
    query = select(deliveries.c.id, quiet_hours).join_from(
        deliveries, quiet_hours, quiet_hours.c.user_id == deliveries.c.user_id
    )
    ends = {
        row.id: quiet.until(now)
        for row in db.execute(query.where(among(db.dialect.name, deliveries.c.id, held)))
        if (quiet := _quiet(row))
    }
    return {number: replace(outcomes[number], due_at=ends.get(number) or now) for number in held}


def _lock(db: Connection, ids: Collection[int]) -> None:
    """Lock rows in the order of their ids; SQLite has one writer anyway."""
    if db.dialect.name != "sqlite":
        these = among(db.dialect.name, deliveries.c.id, ids)
        db.execute(select(deliveries.c.id).where(these).order_by(deliveries.c.id).with_for_update())


@cache
def _finish(dialect: str) -> Update:
    result = rows(
        dialect,
        "results",
        {"id": BigInteger(), "state": String(), "reason": String(), "due_at": Moment(), "attempts": BigInteger()},
    )
    is_over = result.c.state != PENDING
    now = bindparam("now", type_=Moment())
    return (
        update(deliveries)
        .where(deliveries.c.id == result.c.id, or_(IS_PENDING, result.c.state == SENT))
        .values(
            state=result.c.state,
            reason=result.c.reason,
            due_at=func.coalesce(result.c.due_at, deliveries.c.due_at),
            claimed_until=null(),
            attempts=deliveries.c.attempts - result.c.attempts,
            # A day of failures begins with the first attempt, not with the quiet hours before it.
            tried_at=case((deliveries.c.attempts == result.c.attempts, null()), else_=deliveries.c.tried_at),
            # What was not tried is bundled anew, with what is due then.
            bundle=case((result.c.attempts == 0, deliveries.c.bundle), else_=null()),
            ended_at=case((is_over, now), else_=null()),
        )
    )


def split(db: Connection, delivery: Delivery, targets: Sequence[str], now: datetime) -> None:
    """Replace a claimed delivery by one for each target, due now, unless it was cancelled meanwhile.

    A target that another delivery of the notification is pending for gets that one: it carries the newest content.
    """
    replaced = delete(deliveries).where(deliveries.c.id == delivery.id, IS_PENDING)
    if cast(CursorResult[Any], db.execute(replaced)).rowcount and targets:
        common = {name: getattr(delivery, name) for name in ("tag", "user_id", "notification_id", "channel", "unless")}
        common |= {"created_at": delivery.created_at, "due_at": now}
        has_one = set(db.scalars(select(deliveries.c.target).where(_beside(delivery), IS_PENDING)))
        if new := [{**common, "target": target} for target in targets if target not in has_one]:
            db.execute(insert(deliveries), new)


def _beside(delivery: Delivery) -> ColumnElement[bool]:
    of_channel = and_(deliveries.c.user_id == delivery.user_id, deliveries.c.channel == delivery.channel)
    return and_(of_channel, deliveries.c.notification_id == delivery.notification_id)
