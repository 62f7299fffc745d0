"""Users' preferences. The user's log must be locked while they are replaced (``log.lock``)."""

from collections.abc import Sequence
from datetime import datetime, time

from sqlalchemy import Connection, delete, insert, or_, select

from shirase.quiet_hours import QuietHours
from shirase.store import tables
from shirase.types import Preferences, Rule

preferences = tables.Base.metadata.tables["shirase_preferences"]
quiet_hours = tables.Base.metadata.tables["shirase_quiet_hours"]


def read(db: Connection, user_id: str, now: datetime) -> Preferences:
    """A user's preferences, without rules that are over."""
    in_force = or_(preferences.c.until.is_(None), preferences.c.until > now)
    query = select(preferences).where(preferences.c.user_id == user_id, in_force)
    rows = db.execute(query.order_by(preferences.c.scope, preferences.c.channel))
    rules = tuple(Rule(row.scope, row.channel, bool(row.enabled), row.until) for row in rows)
    quiet = db.execute(select(quiet_hours).where(quiet_hours.c.user_id == user_id)).one_or_none()
    return Preferences(rules, None if quiet is None else _quiet(quiet.starts, quiet.ends, quiet.timezone))


def _quiet(starts: str, ends: str, timezone: str) -> QuietHours:
    return QuietHours(time.fromisoformat(starts), time.fromisoformat(ends), timezone)


def replace(db: Connection, user_id: str, replacement: Preferences) -> None:
    """Replace a user's preferences."""
    db.execute(delete(preferences).where(preferences.c.user_id == user_id))
    db.execute(delete(quiet_hours).where(quiet_hours.c.user_id == user_id))
    if replacement.rules:
        db.execute(insert(preferences), _rows(user_id, replacement.rules))
    if quiet := replacement.quiet:
        hours = {"starts": f"{quiet.starts:%H:%M}", "ends": f"{quiet.ends:%H:%M}", "timezone": quiet.timezone}
        db.execute(insert(quiet_hours).values(user_id=user_id, **hours))


def _rows(user_id: str, rules: Sequence[Rule]) -> list[dict[str, object]]:
    return [
        {"user_id": user_id, "scope": rule.scope, "channel": rule.channel, "enabled": rule.enabled, "until": rule.until}
        for rule in rules
    ]
