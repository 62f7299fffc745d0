"""The channel of mail: sends mails by SMTP, many over each of a few connections."""

import logging
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from datetime import timedelta

from shirase.mail_settings import MailSettings
from shirase.policies import EMAIL
from shirase.relay.channels import Failed, Item, Outcome, Skipped
from shirase.relay.mail.connection import Connection
from shirase.relay.mail.messages import Composer, WrongTemplate, mail_id
from shirase.settings import Settings
from shirase.store import contacts, type_catalogue
from shirase.store.contacts import Contact
from shirase.store.database import Database

logger = logging.getLogger(__name__)

PATIENCE = 2  # connections that fail one after the other, before the rest of a batch waits
WORTH = 12  # mails that are worth another connection
LONGEST = 60.0  # seconds for a batch: what no mail was begun for is tried again


class Mail:
    """Sends a user's due notifications in one mail."""

    name = EMAIL
    batch = 50
    keeps_quiet = True

    def __init__(self, settings: Settings, mail: MailSettings, database: Database) -> None:
        """Prepare, without connecting."""
        self.window = timedelta(seconds=mail.window)
        self._database = database
        self._composer = Composer(settings, mail)
        self._connections = [(Connection(mail), ThreadPoolExecutor(1, "mail")) for _ in range(mail.connections)]
        self._failures = 0  # connections that failed one after the other

    def send(self, items: Sequence[Item]) -> Iterator[tuple[Item, Outcome]]:
        """Send a mail for each bundle, or for each item in none; see ``Channel``. A user's mails keep their order."""
        with self._database.autocommit() as db:
            result = contacts.of_users(db, {item.notification.user_id for item in items})
            critical = frozenset(type_catalogue.critical(db))
        mails: dict[str, list[Item]] = {}
        for item in items:
            mails.setdefault(mail_id(item.delivery), []).append(item)
        some = self._connections[: -(-len(mails) // WORTH)]
        users: dict[str, int] = {}
        until = time.monotonic() + LONGEST
        self._failures = 0
        sending: dict[Future[Outcome], Sequence[Item]] = {}
        for own in mails.values():
            user_id = own[0].notification.user_id
            contact = result.get(user_id)
            if contact is None or not contact.email:
                yield from ((item, Skipped("the user has no address")) for item in own)
            else:
                connection, thread = some[users.setdefault(user_id, len(users)) % len(some)]
                sending[thread.submit(self._send, connection, own, contact, critical, until)] = own
        for done in as_completed(sending):
            for item in sending[done]:
                yield item, done.result()

    def close(self) -> None:
        """End the connections."""
        for connection, thread in self._connections:
            thread.shutdown(cancel_futures=True)
            connection.close()

    def _send(
        self, connection: Connection, items: Sequence[Item], contact: Contact, critical: frozenset[str], until: float
    ) -> Outcome:
        if self._failures >= PATIENCE:
            return Failed("the mail server does not answer")
        if time.monotonic() >= until:
            return Failed("the mail server is slow")
        try:
            outcome, is_up = connection.send(self._composer.compose(items, contact, critical))
        except WrongTemplate as exc:
            logger.warning("mail: a template cannot be rendered: %s", exc)
            return Failed(str(exc))
        except Exception:  # of a host's template, or of an address that cannot be encoded: other mails are not affected
            logger.exception("mail: a mail cannot be written")
            return Failed("the mail cannot be written")
        self._failures = 0 if is_up else self._failures + 1
        return outcome
