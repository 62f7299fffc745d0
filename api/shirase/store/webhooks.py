"""Webhooks: endpoints, their claims, and their queues."""

import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

import orjson
from sqlalchemy import ColumnElement, Connection, CursorResult, and_, delete, exists, func, insert, or_, select, update

from shirase.policies import WEBHOOK
from shirase.store import inbox, tables
from shirase.store.rules import allowed, in_inbox
from shirase.store.sql import among
from shirase.types import NOTIFICATION, UPDATED, Notification, WebhookStep

webhooks = tables.Base.metadata.tables["shirase_webhooks"]
queue = tables.Base.metadata.tables["shirase_webhook_queue"]
events = tables.Base.metadata.tables["shirase_events"]
notifications = tables.Base.metadata.tables["shirase_notifications"]
types = tables.Base.metadata.tables["shirase_types"]

_COLUMNS: dict[str, Any] = {
    "user_id": notifications.c.user_id,
    "type_": notifications.c.type,
    "category": notifications.c.category,
    "entry": types.c,
}
IS_ALLOWED = and_(in_inbox(**_COLUMNS), allowed(WEBHOOK, **_COLUMNS))  # by the preferences of the notification's user
KINDS = (NOTIFICATION, UPDATED)  # the events that endpoints get
WAITING, PAUSED, DONE = "waiting", "paused", "done"

MOST_COUNTED = 10_000  # waiting events of an endpoint that are counted
FRESH = {"attempts": 0, "failing_since": None, "reason": None, "failed_id": None, "paused_at": None}


@dataclass(frozen=True, slots=True)
class Webhook:
    """An endpoint and its state."""

    id: int
    name: str
    url: str
    types: Sequence[str]  # none stands for all
    secrets: Sequence[str]  # that sign now, the newest first
    previous_until: datetime | None
    created_at: datetime
    updated_at: datetime
    next_at: datetime
    attempts: int
    failing_since: datetime | None
    reason: str | None
    paused_at: datetime | None
    waiting: int = 0

    def __repr__(self) -> str:
        """Without secrets: an exception may show it."""
        return f"Webhook({self.name!r})"


@dataclass(frozen=True, slots=True)
class Queued:
    """An event in an endpoint's queue; without a notification if that is gone."""

    id: int
    tag: str
    kind: str
    happened_at: datetime
    notification: Notification | None
    is_allowed: bool = True  # by the user's preferences


def put(
    db: Connection, name: str, url: str, types: Sequence[str], secret: str | None, now: datetime, rotation: timedelta
) -> bool:
    """Create or change an endpoint; return whether it is new. A new secret signs beside the old for ``rotation``."""
    changed: dict[str, Any] = {
        "url": url,
        "types": orjson.dumps(list(types)).decode(),
        "updated_at": now,
        "next_at": now,
    }
    query = select(webhooks.c.id, webhooks.c.secret).where(webhooks.c.name == name).with_for_update()
    row = db.execute(query).one_or_none()
    if row is None:
        made = {**changed, "name": name, "created_at": now, "secret": secret}
        db.execute(insert(webhooks).values(made))
        return True
    if secret is not None and secret != row.secret:
        changed |= {"secret": secret, "previous_secret": row.secret, "previous_until": now + rotation}
    db.execute(update(webhooks).where(webhooks.c.id == row.id).values({**changed, **FRESH}))
    return False


def find(db: Connection, name: str, now: datetime) -> Webhook | None:
    """One endpoint."""
    result = _read(db, now, webhooks.c.name == name)
    return result[0] if result else None


def page(db: Connection, now: datetime) -> list[Webhook]:
    """Every endpoint, by name."""
    return _read(db, now)


def _read(db: Connection, now: datetime, *conditions: ColumnElement[bool]) -> list[Webhook]:
    rows = db.execute(select(webhooks).where(*conditions).order_by(webhooks.c.name)).all()
    return [_webhook(row, now, _waiting(db, row.id)) for row in rows]


def _waiting(db: Connection, number: int) -> int:
    some = select(queue.c.id).where(queue.c.webhook_id == number).limit(MOST_COUNTED).subquery()
    return db.execute(select(func.count()).select_from(some)).scalar_one()


def _webhook(row: Any, now: datetime, waiting: int = 0) -> Webhook:
    rotates = row.previous_until is not None and row.previous_until > now
    signing = (row.secret, row.previous_secret) if rotates else (row.secret,)
    names = ("id", "name", "url", "created_at", "updated_at", "next_at", "attempts", "failing_since", "reason")
    shared = {name: getattr(row, name) for name in (*names, "paused_at")}
    until = row.previous_until if rotates else None
    return Webhook(**shared, types=orjson.loads(row.types), secrets=signing, previous_until=until, waiting=waiting)


def delete_named(db: Connection, name: str) -> int | None:
    """Delete an endpoint and return its number. The caller then removes its queue."""
    number: int | None = db.execute(
        delete(webhooks).where(webhooks.c.name == name).returning(webhooks.c.id)
    ).scalar_one_or_none()
    return number


def remove_queue(db: Connection, number: int, limit: int) -> int:
    """Delete some of an endpoint's queue; returns how many."""
    some = select(queue.c.id).where(queue.c.webhook_id == number).limit(limit)
    return _delete(db, queue.c.id.in_(some))


def remove_orphans(db: Connection, before: datetime, limit: int) -> int:
    """Delete queued rows without an endpoint or an event, or older than ``before``."""
    oldest = select(queue).order_by(queue.c.id).limit(limit).subquery()
    alive = exists().where(webhooks.c.id == oldest.c.webhook_id)
    kept = exists().where(
        events.c.user_id == oldest.c.user_id, events.c.seq == oldest.c.seq, events.c.created_at >= before
    )
    return _delete(db, queue.c.id.in_(select(oldest.c.id).where(or_(~alive, ~kept))))


def retry(db: Connection, name: str, now: datetime) -> bool:
    """Have an endpoint tried now; false if there is none."""
    again = update(webhooks).where(webhooks.c.name == name).values(next_at=now, **FRESH)
    return cast(CursorResult[Any], db.execute(again)).rowcount > 0


def drop_failed(db: Connection, name: str) -> bool:
    """Drop the event that an endpoint failed at; false if there is none."""
    failed = select(webhooks.c.failed_id).where(webhooks.c.name == name).scalar_subquery()
    return _delete(db, queue.c.id == failed) > 0


def due(db: Connection, now: datetime) -> list[int]:
    """Endpoints with an event that can be sent now."""
    query = select(webhooks.c.id).where(_is_free(now), exists().where(queue.c.webhook_id == webhooks.c.id))
    return list(db.scalars(query.order_by(webhooks.c.next_at)))


def claim(db: Connection, number: int, now: datetime, lease: timedelta) -> tuple[Webhook, str] | None:
    """Claim an endpoint for this relay; ``None`` if another has it. Returns the claim too."""
    mark = secrets.token_hex(8)
    claiming = update(webhooks).where(webhooks.c.id == number, _is_free(now))
    row = db.execute(claiming.values(claim=mark, claimed_until=now + lease).returning(*webhooks.c)).one_or_none()
    return None if row is None else (_webhook(row, now), mark)


def keep(db: Connection, webhook: Webhook, mark: str, sent: Collection[int], until: datetime) -> bool:
    """Remove sent events, and prolong the claim; false if it is lost, or the endpoint was changed since."""
    if sent:
        _delete(db, among(db.dialect.name, queue.c.id, sent))
    return _update(db, and_(_is_own(webhook, mark), _is_as(webhook)), {"claimed_until": until})


def release(db: Connection, webhook: Webhook, mark: str, state: dict[str, Any]) -> None:
    """End a claim with the endpoint's new state. If the endpoint was changed since, the state is outdated."""
    own, free = _is_own(webhook, mark), {"claimed_until": None, "claim": None}
    if not _update(db, and_(own, _is_as(webhook)), free | state):
        _update(db, own, free)


def _is_own(webhook: Webhook, mark: str) -> ColumnElement[bool]:
    return and_(webhooks.c.id == webhook.id, webhooks.c.claim == mark)


def _is_as(webhook: Webhook) -> ColumnElement[bool]:
    """Whether an endpoint is as it was when it was claimed: ``put`` and ``retry`` set the next attempt to now."""
    return webhooks.c.next_at == webhook.next_at


def _update(db: Connection, which: ColumnElement[bool], values: dict[str, Any]) -> bool:
    return cast(CursorResult[Any], db.execute(update(webhooks).where(which).values(values))).rowcount > 0


def first(db: Connection, number: int, limit: int, now: datetime) -> list[Queued]:
    """The beginning of an endpoint's queue."""
    return _queued(db, now, limit, queue.c.webhook_id == number)


def again(db: Connection, before: Sequence[Queued], now: datetime) -> list[Queued]:
    """Those of these events that still wait, with the present state of their notifications."""
    return _queued(db, now, len(before), among(db.dialect.name, queue.c.id, [queued.id for queued in before]))


def _queued(db: Connection, now: datetime, limit: int, which: ColumnElement[bool]) -> list[Queued]:
    alive = or_(notifications.c.expires_at.is_(None), notifications.c.expires_at > now)
    place = and_(events.c.user_id == queue.c.user_id, events.c.seq == queue.c.seq, events.c.tag == queue.c.tag)
    query = (
        select(
            queue.c.id.label("queued_id"),
            queue.c.tag.label("event_tag"),
            events.c.kind,
            events.c.created_at.label("happened_at"),
            IS_ALLOWED.label("is_allowed"),
            *notifications.c,
        )
        .outerjoin_from(queue, events, place)
        .outerjoin(notifications, and_(notifications.c.id == events.c.notification_id, alive))
        .outerjoin(types, types.c.type == notifications.c.type)
        .where(which)
        .order_by(queue.c.id)
        .limit(limit)
    )
    return [
        Queued(
            row.queued_id,
            row.event_tag,
            row.kind or "",
            row.happened_at or now,
            None if row.id is None else inbox.notification_of(row),
            bool(row.is_allowed),
        )
        for row in db.execute(query, {"now": now})
    ]


def of_notification(db: Connection, user_id: str, number: int, type_: str) -> list[WebhookStep]:
    """For each endpoint that gets this type, and each event of a notification: whether the event still waits.

    What has left a queue is not recorded. Events older than an endpoint are missing.
    """
    place = and_(
        queue.c.webhook_id == webhooks.c.id,
        queue.c.user_id == events.c.user_id,
        queue.c.seq == events.c.seq,
        queue.c.tag == events.c.tag,
    )
    query = (
        select(webhooks, queue.c.id.label("queued_id"), events.c.tag, events.c.kind, events.c.created_at.label("at"))
        .join_from(events, webhooks, webhooks.c.created_at <= events.c.created_at)
        .outerjoin(queue, place)
        .where(events.c.user_id == user_id, events.c.notification_id == number, events.c.kind.in_(KINDS))
        .order_by(events.c.seq, webhooks.c.name)
    )
    steps = []
    for row in db.execute(query):
        if (types_ := orjson.loads(row.types)) and type_ not in types_:
            continue
        if row.queued_id is None:
            steps.append(WebhookStep(row.name, row.kind, row.at, DONE))
            continue
        state, next_at = (PAUSED, None) if row.paused_at else (WAITING, row.next_at)
        uid = event_id(row.queued_id, row.tag)
        steps.append(WebhookStep(row.name, row.kind, row.at, state, uid, row.attempts, row.reason, next_at))
    return steps


def event_id(number: int, tag: str) -> str:
    """The id of a queued event for the outside, the same at each attempt."""
    return f"evt_{number}_{tag}"


@dataclass(frozen=True, slots=True)
class Health:
    """Figures of all endpoints together."""

    paused: int  # endpoints
    failing_since: datetime | None  # the earliest of those that are not paused
    queued: int  # events that wait for any endpoint, up to ``MOST_COUNTED``


def health(db: Connection) -> Health:
    """The figures for metrics."""
    paused = db.execute(select(func.count()).where(webhooks.c.paused_at.is_not(None))).scalar_one()
    failing = db.execute(select(func.min(webhooks.c.failing_since)).where(webhooks.c.paused_at.is_(None))).scalar_one()
    some = select(queue.c.id).limit(MOST_COUNTED).subquery()
    return Health(paused, failing, db.execute(select(func.count()).select_from(some)).scalar_one())


def _is_free(now: datetime) -> ColumnElement[bool]:
    unclaimed = or_(webhooks.c.claimed_until.is_(None), webhooks.c.claimed_until <= now)
    return and_(webhooks.c.paused_at.is_(None), webhooks.c.next_at <= now, unclaimed)


def _delete(db: Connection, which: ColumnElement[bool]) -> int:
    return cast(CursorResult[Any], db.execute(delete(queue).where(which))).rowcount
