"""The channel ``apprise``: hands notifications to Apprise, for every service that has no channel of its own."""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from shirase.errors import SettingsError
from shirase.inbox import apprise
from shirase.inbox.translations import WORDS, language
from shirase.policies import APPRISE
from shirase.relay.apprise.process import AppriseProcess
from shirase.relay.channels import Failed, Item, Outcome, Refused, Sent, Skipped, Split
from shirase.settings import Settings
from shirase.store import contacts
from shirase.store.contacts import Contact
from shirase.store.database import Database

AT_ONCE = 8  # messages


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
        for item in items:
            contact = stored.get(item.delivery.user_id, Contact())
            addresses = apprise.addresses_of(self._settings, item.delivery.user_id, contact.apprise)
            if not item.delivery.target:
                yield item, Split(list(addresses)) if addresses else Skipped("the user has no address")
            elif address := addresses.get(item.delivery.target):
                due.append((item, {"url": address, **self._message(item, contact)}))
            else:
                yield item, Skipped("the address was removed")
        for first in range(0, len(due), AT_ONCE):
            some = due[first : first + AT_ONCE]
            for number, answer in self._process.send([message for _, message in some]):
                yield some[number][0], _outcome(answer)

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
