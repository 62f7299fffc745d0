"""Users' preferences and the types' policies, as parts of other statements: nothing is cached."""

from typing import Any

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Insert,
    Integer,
    String,
    case,
    cast,
    false,
    func,
    insert,
    literal,
    or_,
    select,
)

from shirase.policies import INBOX
from shirase.store import tables
from shirase.store.advance import NOW, TAG
from shirase.store.sql import constant

types = tables.Base.metadata.tables["shirase_types"]
policies = tables.Base.metadata.tables["shirase_policies"]
deliveries = tables.Base.metadata.tables["shirase_deliveries"]
preferences = tables.Base.metadata.tables["shirase_preferences"]

EVERYTHING = "*"  # the widest scope


def allowed(channel: Any, *, user_id: Any, type_: Any, category: Any, entry: Any) -> ColumnElement[bool]:
    """Whether the user's preferences allow a channel.

    Args:
        channel: its name or a column.
        user_id: a column, as the next two.
        type_: the notification's type.
        category: the notification's category.
        entry: the columns of the type's row in ``types``, outer joined.
    """
    scope = preferences.c.scope
    # The narrowest rule as a number, whose last bit is whether it enables. (SQLite 3.40 does not find the columns of an
    # outer query in the ORDER BY of a subquery.)
    everything = constant(EVERYTHING)
    narrowness = case((scope == type_, constant(4)), (scope == everything, constant(0)), else_=constant(2))
    if isinstance(channel, str):
        channel = constant(channel)
    narrowest = (
        select(func.max(narrowness + cast(preferences.c.enabled, Integer())))
        .where(preferences.c.user_id == user_id, preferences.c.channel == channel)
        .where(or_(scope == everything, scope == type_, scope == func.coalesce(category, entry.category)))
        .where(or_(preferences.c.until.is_(None), preferences.c.until > NOW))
    )
    is_enabled = func.coalesce(narrowest.scalar_subquery(), constant(1)) % constant(2) == constant(1)
    return or_(func.coalesce(entry.critical, false()), is_enabled)


def in_inbox(**columns: Any) -> ColumnElement[bool]:
    """Whether the user has not muted the notification in the inbox; arguments as for ``allowed``."""
    return allowed(INBOX, **columns)


def planning(dialect: str, stored: FromClause, *conditions: ColumnElement[bool]) -> Insert:
    """The statement that inserts the deliveries of notifications by the policies of their types.

    Args:
        dialect: the database's.
        stored: the notifications: ``id``, ``user_id``, ``type`` and ``category``.
        conditions: for each of them and each step of its policy.
    """
    row = stored.c
    after = policies.c.after
    if dialect == "sqlite":  # text of a fixed width: the seconds, then the fraction
        width = len("2026-01-01T00:00:00")
        delay = literal("+", String()) + cast(after, String()) + " seconds"
        seconds = func.strftime("%Y-%m-%dT%H:%M:%S", func.substr(NOW, 1, width), delay, type_=String())
        due_at: ColumnElement[Any] = seconds + func.substr(NOW, width + 1, type_=String())
    else:
        due_at = NOW + func.make_interval(*[constant(0)] * 6, after)
    values = {
        "tag": TAG,
        "user_id": row.user_id,
        "notification_id": row.id,
        "channel": policies.c.channel,
        "unless": policies.c.unless,
        "created_at": NOW,
        "due_at": due_at,
    }
    is_allowed = allowed(policies.c.channel, user_id=row.user_id, type_=row.type, category=row.category, entry=types.c)
    source = (
        select(*values.values())
        .join_from(stored, policies, policies.c.type == row.type)
        .outerjoin(types, types.c.type == row.type)
        .where(is_allowed, *conditions)
        .order_by(row.id, policies.c.step)
    )
    return insert(deliveries).from_select(list(values), source)
