"""The present notifications of producers' keys."""

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import NamedTuple

from sqlalchemy import Connection, Executable, String, and_, literal, select

from shirase.store import tables
from shirase.store.inbox import notification_of
from shirase.store.rules import in_inbox
from shirase.store.sql import among_listed, document, listed, rows
from shirase.store.tables import UserId
from shirase.types import Draft, Notification

notifications = tables.Base.metadata.tables["shirase_notifications"]
streams = tables.Base.metadata.tables["shirase_streams"]
types = tables.Base.metadata.tables["shirase_types"]
policies = tables.Base.metadata.tables["shirase_policies"]

UserKey = tuple[str, str]  # user and key


def user_key(draft: Draft) -> UserKey:
    """The user and the key."""
    return draft.user_id, draft.content.key or ""


class Present(NamedTuple):
    """The present notifications of some drafts' keys."""

    notifications: dict[UserKey, Notification]  # whether expired or not
    seen: dict[str, int]  # by user with one of these: the position of what is seen
    muted: set[UserKey]  # the drafts that their users have muted
    planned: bool  # whether any of the drafts' types has a policy


def find(db: Connection, drafts: Collection[Draft], now: datetime) -> Present:
    """Find the notifications that have the drafts' keys, and how preferences and policies apply to the drafts."""
    pairs = document(
        {
            "user_id": draft.user_id,
            "key": draft.content.key,
            "type": draft.content.type,
            "category": draft.content.category,
        }
        for draft in drafts
    )
    parameters = {"pairs": pairs, "now": now}
    if db.dialect.name != "sqlite":
        parameters["users"] = listed(db.dialect.name, {draft.user_id for draft in drafts})
    result = Present({}, {}, set(), planned=False)
    for row in db.execute(_statement(db.dialect.name), parameters):
        owner = (row.draft_user_id, row.draft_key)
        if row.id is not None:
            result.notifications[owner] = notification_of(row)
            result.seen[row.user_id] = row.seen
        if not row.is_stored:
            result.muted.add(owner)
        if row.is_planned:
            result = result._replace(planned=True)
    return result


@cache
def _statement(dialect: str) -> Executable:
    pairs = rows(dialect, "pairs", {"user_id": UserId, "key": String(), "type": String(), "category": String()})
    stored = in_inbox(user_id=pairs.c.user_id, type_=pairs.c.type, category=pairs.c.category, entry=types.c)
    planned = select(literal(1)).where(policies.c.type == pairs.c.type).exists()
    present = and_(notifications.c.key == pairs.c.key, notifications.c.user_id == pairs.c.user_id)
    log = streams.c.user_id == notifications.c.user_id
    if dialect != "sqlite":  # so that the plan has the partitions of these users alone
        present = and_(present, among_listed(dialect, notifications.c.user_id, "users"))
        log = and_(log, among_listed(dialect, streams.c.user_id, "users"))
    return (
        select(
            pairs.c.user_id.label("draft_user_id"),
            pairs.c.key.label("draft_key"),
            stored.label("is_stored"),
            planned.label("is_planned"),
            notifications,
            streams.c.seen,
        )
        .select_from(pairs)
        .outerjoin(types, types.c.type == pairs.c.type)
        .outerjoin(notifications, present)
        .outerjoin(streams, log)
    )
