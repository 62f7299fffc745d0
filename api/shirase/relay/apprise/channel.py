"""The channel ``apprise``: hands notifications to Apprise, for every service that has no channel of its own."""

import logging
from collections.abc import Iterator, Sequence
from datetime import timedelta

from shirase.errors import SettingsError
from shirase.inbox import apprise
from shirase.inbox.translations import WORDS, language
from shirase.policies import APPRISE
from shirase.relay.apprise.process import UNANSWERED, AppriseProcess
from shirase.relay.channels import Failed, Item, Outcome, Refused, Sent, Skipped, Split, in_turn
from shirase.settings import Settings
from shirase.store import contacts
from shirase.store.contacts import Contact
from shirase.store.database import Database

logger = logging.getLogger(__name__)

AT_ONCE = 8  # messages
SILENT = Failed("another address of the user did not answer in time")


class Apprise:
    """Sends a delivery to one address; one that has no target becomes a delivery for each address of its user."""

    name = APPRISE
    batch = 40
    window = timedelta()
    keeps_quiet = True

    def __init__(self, settings: Settings, database: Database) -> None:
        """Check the operator's addresses.

        Raises:
            SettingsError: if one cannot be used.
        """
        for template in settings.apprise_urls:
            try:
                apprise.check_address(template.replace("{user_id}", "42"), settings.outbound_private_hosts)
            except ValueError as exc:
                raise SettingsError("APPRISE_URLS", f"{apprise.shown(template)} {exc}") from exc
        self._settings = settings
        self._database = database
        self._process = AppriseProcess(settings.outbound_private_hosts)

    def send(self, items: Sequence[Item]) -> Iterator[tuple[Item, Outcome]]:
        """Split what is for all addresses of a user, and send what is for one; see ``Channel``."""
        with self._database.autocommit() as db:
            stored = contacts.of_users(db, {item.delivery.user_id for item in items})
        due: list[tuple[Item, dict[str, str]]] = []
        for item in in_turn(items):
            contact = stored.get(item.delivery.user_id, Contact())
            addresses = apprise.addresses_of(self._settings, item.delivery.user_id, contact.apprise)
            if not item.delivery.target:
                yield item, Split(list(addresses)) if addresses else Skipped("the user has no address")
            elif address := addresses.get(item.delivery.target):
                try:
                    due.append((item, {"url": address, **self._message(item, contact)}))
                except Exception:  # other messages are not affected
                    logger.exception("apprise: a message cannot be made")
                    yield item, Failed("the message cannot be made")
            else:
                yield item, Skipped("the address was removed")
        silent: set[str] = set()  # users with an address that did not answer: their others wait, and hold up nobody
        while due:
            some, due = due[:AT_ONCE], due[AT_ONCE:]
            for number, answer in self._process.send([message for _, message in some]):
                item, _ = some[number]
                if answer.get("failed") in UNANSWERED:
                    silent.add(item.delivery.user_id)
                yield item, _outcome(answer)
            yield from ((item, SILENT) for item, _ in due if item.delivery.user_id in silent)
            due = [(item, message) for item, message in due if item.delivery.user_id not in silent]

    def close(self) -> None:
        """End the process that sends."""
        self._process.stop()

    def _message(self, item: Item, contact: Contact) -> dict[str, str]:
        """The title and the text, links included."""
        content = item.notification.content
        words = WORDS[language(contact.locale)]
        lines = [apprise.without_mentions(content.message.strip())]
        lines += apprise.links(self._settings.public_url, content, words.open)
        body = "\n".join(filter(None, lines))
        title = apprise.without_mentions(" ".join(content.title.split())) or content.type
        return {
            "title": title if body else "",  # most services refuse a message without a text
            "body": body or title,
            "type": "warning" if content.priority == "high" else "info",
        }


def _outcome(answer: dict[str, str]) -> Outcome:
    if reason := answer.get("refused"):
        return Refused(reason)
    if reason := answer.get("failed"):
        return Failed(reason)
    return Sent()
