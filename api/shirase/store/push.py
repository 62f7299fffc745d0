"""Subscriptions of Web Push."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Connection, CursorResult, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from shirase.store import tables
from shirase.store.sql import among

subscriptions = tables.Base.metadata.tables["shirase_push_subscriptions"]


@dataclass(frozen=True, slots=True)
class Subscription:
    """Where a browser takes messages, and the keys that encrypt them."""

    id: str
    endpoint: str = field(repr=False)
    p256dh: str = field(repr=False)
    auth: str = field(repr=False)


def put(db: Connection, user_id: str, subscription: Subscription, user_agent: str, now: datetime, most: int) -> None:
    """Store a subscription, also one that was another user's: the browser is this user's now.

    A user has at most ``most``; the oldest give way.
    """
    dialect = sqlite if db.dialect.name == "sqlite" else postgresql
    row: dict[str, Any] = {
        "user_id": user_id,
        "endpoint": subscription.endpoint,
        "p256dh": subscription.p256dh,
        "auth": subscription.auth,
    }
    row |= {"user_agent": user_agent, "created_at": now}
    putting = dialect.insert(subscriptions).values(id=subscription.id, **row)
    db.execute(putting.on_conflict_do_update(index_elements=["id"], set_=row))
    own = select(subscriptions.c.id).where(subscriptions.c.user_id == user_id)
    kept = own.order_by(subscriptions.c.created_at.desc(), subscriptions.c.id).limit(most)
    db.execute(delete(subscriptions).where(subscriptions.c.user_id == user_id, subscriptions.c.id.not_in(kept)))


def remove(db: Connection, number: str, user_id: str | None = None) -> bool:
    """Delete a subscription; with ``user_id`` only if it is this user's."""
    removing = delete(subscriptions).where(subscriptions.c.id == number)
    if user_id is not None:
        removing = removing.where(subscriptions.c.user_id == user_id)
    return cast(CursorResult[Any], db.execute(removing)).rowcount > 0


def ids_of(db: Connection, user_id: str) -> list[str]:
    """The ids of a user's subscriptions."""
    query = select(subscriptions.c.id).where(subscriptions.c.user_id == user_id)
    return list(db.scalars(query.order_by(subscriptions.c.created_at)))


def find(db: Connection, ids: Collection[str]) -> Mapping[tuple[str, str], Subscription]:
    """Subscriptions by (user, id)."""
    rows = db.execute(select(subscriptions).where(among(db.dialect.name, subscriptions.c.id, ids)))
    return {(row.user_id, row.id): Subscription(row.id, row.endpoint, row.p256dh, row.auth) for row in rows}
