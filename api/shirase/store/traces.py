"""Traces: the history of one notification, without its text."""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, and_, select

from shirase.store import deliveries, tables, webhooks
from shirase.types import Trace

events = tables.Base.metadata.tables["shirase_events"]
notifications = tables.Base.metadata.tables["shirase_notifications"]
missed = tables.Base.metadata.tables["shirase_missed"]

_NAMES = ("id", "user_id", "seq", "type", "created_at", "expires_at", "read_at", "read_by", "announcement_id")


def find(db: Connection, number: int, nodes: Sequence[str]) -> Trace | None:
    """The trace of a notification of any user; ``nodes`` are the names of all current nodes."""
    same_place = and_(events.c.user_id == notifications.c.user_id, events.c.seq == notifications.c.seq)
    query = select(
        *(notifications.c[name] for name in _NAMES),
        *(events.c[name] for name in ("committed_at", "published_at", "way", "attempts", "nodes", "connections")),
    ).join_from(notifications, events, same_place)
    row = db.execute(query.where(notifications.c.id == number)).one_or_none()
    if row is None:
        return None
    waiting = select(missed.c.node).where(missed.c.node.in_(nodes), missed.c.user_id == row.user_id)
    return Trace(
        **{name: getattr(row, name) for name in _NAMES},
        committed_at=row.committed_at,
        published_at=row.published_at,
        way=row.way,
        attempts=row.attempts,
        nodes=tuple(row.nodes.split()) if row.nodes else (),
        connections=row.connections,
        waiting=tuple(sorted(db.execute(waiting).scalars())),
        deliveries=tuple(deliveries.of_notification(db, number)),
        omitted=tuple(deliveries.omitted(db, row.user_id, number, datetime.now(UTC))),
        webhooks=tuple(webhooks.of_notification(db, row.user_id, number, row.type)),
    )
