"""Unsubscribing from mail by a signed address, which needs no sign-in (RFC 8058)."""

from datetime import UTC, datetime

from shirase.access import tokens
from shirase.inbox import preferences
from shirase.policies import EMAIL
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import log
from shirase.store.database import Database
from shirase.store.rules import EVERYTHING
from shirase.types import Preferences, Rule

PATH = "/api/unsubscribe"
PURPOSE = "unsubscribe"


def address(settings: Settings, base: str, user_id: str, scope: str) -> str:
    """The address that switches a user's mail off for a type, or for ``*``. It stays valid, as old mail is kept."""
    return f"{base}{PATH}/{tokens.seal(settings, PURPOSE, {'user': user_id, 'scope': scope})}"


def scope_of(settings: Settings, sealed: str) -> str | None:
    """What the address is for; ``None`` if it is not one of ours."""
    opened = tokens.unseal(settings, PURPOSE, sealed)
    return opened["scope"] if opened else None


def unsubscribe(database: Database, publisher: Publisher, settings: Settings, sealed: str) -> bool:
    """Switch mail off for the address; false if its link is not one of ours.

    Nothing is stored for a user who has no log: old mail of an erased user must not begin the user anew.

    Raises:
        Invalid: if the type has become critical since.
    """
    opened = tokens.unseal(settings, PURPOSE, sealed)
    if opened is None:
        return False
    scope = opened["scope"]
    with database.autocommit() as db:
        if not log.position(db, opened["user"], datetime.now(UTC)).is_known:
            return True

    def without_mail(present: Preferences) -> Preferences:
        others = [rule for rule in present.rules if rule.channel != EMAIL or scope not in (EVERYTHING, rule.scope)]
        return Preferences((*others, Rule(scope, EMAIL, enabled=False)), present.quiet)

    preferences.change(database, publisher, opened["user"], without_mail)
    return True
