"""Unsubscribing from mail by a signed address, which needs no sign-in (RFC 8058)."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from shirase.access import tokens
from shirase.inbox import preferences
from shirase.inbox.reach import MOST_RULES
from shirase.policies import EMAIL
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import contacts, log, type_catalogue
from shirase.store.database import Database
from shirase.store.rules import EVERYTHING
from shirase.types import Preferences, Rule

PATH = "/api/unsubscribe"
PURPOSE = "unsubscribe"


def address(settings: Settings, base: str, user_id: str, scope: str) -> str:
    """The address that switches a user's mail off for a type, or for ``*``. It stays valid, as old mail is kept."""
    return f"{base}{PATH}/{tokens.seal(settings, PURPOSE, {'user': user_id, 'scope': scope})}"


@dataclass(frozen=True, slots=True)
class Subscription:
    """What an address ends: a user's mail of one type, or of all."""

    user_id: str
    scope: str  # a type, or ``*``

    @classmethod
    def of(cls, settings: Settings, sealed: str) -> Self | None:
        """Read an address; ``None`` if it is not one of ours."""
        opened = tokens.unseal(settings, PURPOSE, sealed)
        return cls(opened["user"], opened["scope"]) if opened else None

    def describe(self, database: Database) -> tuple[str | None, str | None]:
        """The label of the type, or ``None`` if it is for all types; and the user's locale, if it is known."""
        with database.autocommit() as db:
            contact = contacts.of_users(db, [self.user_id]).get(self.user_id)
            label = None if self.scope == EVERYTHING else type_catalogue.label(db, self.scope) or self.scope
        return label, contact.locale if contact else None

    def end(self, database: Database, publisher: Publisher) -> None:
        """Switch the mail off.

        Nothing is stored for a user who has no log: old mail of an erased user must not begin the user anew.

        Raises:
            Invalid: if the type has become critical since.
        """
        with database.autocommit() as db:
            if not log.position(db, self.user_id, datetime.now(UTC)).is_known:
                return
        preferences.change(database, publisher, self.user_id, self._without_mail)

    def _without_mail(self, present: Preferences) -> Preferences:
        others = [rule for rule in present.rules if rule.channel != EMAIL or self.scope not in (EVERYTHING, rule.scope)]
        if len(others) >= MOST_RULES:  # with one more, the user could not store them again
            others.remove(next((rule for rule in others if rule.enabled), others[-1]))
        return Preferences((*others, Rule(self.scope, EMAIL, enabled=False)), present.quiet)
