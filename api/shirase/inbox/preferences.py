"""A user's preferences: which channels reach them, for what, and when not."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from shirase.errors import FieldError, Invalid
from shirase.fields import rfc3339
from shirase.inbox import notifications
from shirase.proxy.publisher import Publisher
from shirase.store import deliveries, log, preferences, type_catalogue
from shirase.store.advance import appear
from shirase.store.changes import Change, append_changes
from shirase.store.database import Database
from shirase.types import PREFERENCES, Preferences, Rule


def read(database: Database, user_id: str) -> Preferences:
    """A user's preferences, without rules that are over."""
    with database.autocommit() as db:
        return preferences.read(db, user_id, datetime.now(UTC))


def replace(database: Database, publisher: Publisher, user_id: str, replacement: Preferences) -> Preferences:
    """Replace a user's preferences, publish them to all devices, and cancel deliveries that they no longer allow.

    What the earlier quiet hours hold back is due again if these have changed.

    Nothing is written or published if nothing changes.

    Raises:
        Invalid: if a new rule switches off a critical type.
    """
    return change(database, publisher, user_id, lambda _: replacement)


def change(
    database: Database, publisher: Publisher, user_id: str, change: Callable[[Preferences], Preferences]
) -> Preferences:
    """Replace a user's preferences by what ``change`` makes of the present ones; otherwise as ``replace``."""
    now = datetime.now(UTC)
    with database.transaction() as db:
        if user_id not in log.lock(db, [user_id]):
            appear(db, [user_id])
            log.lock(db, [user_id])
        present = preferences.read(db, user_id, now)
        replacement = change(present)
        _refuse_critical(replacement.rules, present.rules, type_catalogue.critical(db))
        in_force = tuple(rule for rule in replacement.rules if rule.until is None or rule.until > now)
        if (set(in_force), replacement.quiet) == (set(present.rules), present.quiet):
            return present
        preferences.replace(db, user_id, Preferences(in_force, replacement.quiet))
        deliveries.cancel_disallowed(db, user_id, now)
        if replacement.quiet != present.quiet:
            deliveries.release_held(db, user_id, now)
        stored = preferences.read(db, user_id, now)
        appended = append_changes(db, [Change(user_id, PREFERENCES, to_json(stored))], now)
    notifications.name_events(appended)
    notifications.publish(database, publisher, appended, datetime.now(UTC))
    return stored


def _refuse_critical(rules: Sequence[Rule], present: Sequence[Rule], critical: set[str]) -> None:
    """Refuse new rules that switch off a critical type. One from before it was critical has no effect, and may stay."""
    wrong = [
        number
        for number, rule in enumerate(rules)
        if not rule.enabled and rule.scope in critical and rule not in present
    ]
    if wrong:
        message = "must be true: this type is critical, and cannot be switched off"
        raise Invalid(*(FieldError(f"rules[{number}].enabled", message) for number in wrong))


def to_json(stored: Preferences) -> dict[str, Any]:
    """The preferences as REST and the event show them."""
    rules = [
        {
            "scope": rule.scope,
            "channel": rule.channel,
            "enabled": rule.enabled,
            "until": rfc3339(rule.until) if rule.until else None,
        }
        for rule in stored.rules
    ]
    quiet = stored.quiet
    hours = (
        {"from": f"{quiet.starts:%H:%M}", "to": f"{quiet.ends:%H:%M}", "timezone": quiet.timezone} if quiet else None
    )
    return {"rules": rules, "quiet": hours}
