"""The channel of mail: sends mails by SMTP, many over one connection."""

import logging
import smtplib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from email.message import EmailMessage
from itertools import groupby

from shirase import tls
from shirase.mail_settings import NONE, STARTTLS, TLS, MailSettings
from shirase.policies import EMAIL
from shirase.relay.channels import Failed, Item, Outcome, Refused, Sent, Skipped
from shirase.relay.mail.messages import Composer, mail_id
from shirase.settings import Settings
from shirase.store import contacts, type_catalogue
from shirase.store.contacts import Contact
from shirase.store.database import Database

logger = logging.getLogger(__name__)

PERMANENT = 500  # the first status of permanent refusals
PATIENCE = 2  # connections that fail one after the other, before the rest of a batch waits


class Mail:
    """Sends a user's due notifications in one mail."""

    name = EMAIL
    batch = 50
    keeps_quiet = True

    def __init__(self, settings: Settings, mail: MailSettings, database: Database) -> None:
        """Prepare, without connecting."""
        self.window = timedelta(seconds=mail.window)
        self._mail = mail
        self._database = database
        self._composer = Composer(settings, mail)
        self._smtp: smtplib.SMTP | None = None

    def send(self, items: Sequence[Item]) -> Iterator[tuple[Item, Outcome]]:
        """Send a mail for each bundle, or for each item in none; see ``Channel``."""
        with self._database.autocommit() as db:
            result = contacts.of_users(db, {item.notification.user_id for item in items})
            critical = frozenset(type_catalogue.critical(db))
        failures = 0
        for _, group in groupby(sorted(items, key=_mail), key=_mail):
            own = list(group)
            contact = result.get(own[0].notification.user_id)
            outcome: Outcome
            if contact is None or not contact.email:
                outcome = Skipped("the user has no address")
            elif failures >= PATIENCE:
                outcome = Failed("the mail server does not answer")
            else:
                outcome, is_up = self._compose_and_send(own, contact, critical)
                failures = 0 if is_up else failures + 1
            for item in own:
                yield item, outcome

    def close(self) -> None:
        """End the connection, if there is one."""
        smtp, self._smtp = self._smtp, None
        if smtp:
            try:
                smtp.quit()
            except (OSError, smtplib.SMTPException):
                smtp.close()

    def _compose_and_send(
        self, items: Sequence[Item], contact: Contact, critical: frozenset[str]
    ) -> tuple[Outcome, bool]:
        try:
            return self._send(self._composer.compose(items, contact, critical))
        except Exception:  # of a host's template, or of an address that cannot be encoded: other mails are not affected
            logger.exception("mail: a mail cannot be written")
            return Failed("the mail cannot be written"), True

    def _send(self, message: EmailMessage) -> tuple[Outcome, bool]:
        """Send one mail; returns the outcome, and whether the server answered."""
        if self._smtp:
            try:
                self._smtp.send_message(message)
            except smtplib.SMTPServerDisconnected:
                self._drop()  # it was closed while idle: once more, over a new one
            except smtplib.SMTPException as exc:
                return self._failed(exc)
            except OSError:
                self._drop()
            else:
                return Sent(), True
        try:
            self._smtp = self._connect()
            self._smtp.send_message(message)
        except smtplib.SMTPException as exc:
            return self._failed(exc)
        except OSError as exc:
            self._drop()
            logger.warning("mail: the server at %s does not answer: %s", self._mail.host, type(exc).__name__)
            return Failed("the mail server does not answer"), False
        return Sent(), True

    def _connect(self) -> smtplib.SMTP:
        mail = self._mail
        if mail.security == TLS:
            smtp: smtplib.SMTP = smtplib.SMTP_SSL(mail.host, mail.port, timeout=mail.timeout, context=tls.context())
        else:
            smtp = smtplib.SMTP(mail.host, mail.port, timeout=mail.timeout)
        try:
            if mail.security == STARTTLS:
                smtp.starttls(context=tls.context())
            if mail.user is not None and mail.password is not None and mail.security != NONE:
                smtp.login(mail.user, mail.password)
        except BaseException:
            smtp.close()
            raise
        return smtp

    def _drop(self) -> None:
        smtp, self._smtp = self._smtp, None
        if smtp:
            smtp.close()

    def _failed(self, exc: smtplib.SMTPException) -> tuple[Outcome, bool]:
        """The outcome of a refusal. The server's words may name an address, so only the status is kept."""
        if isinstance(exc, smtplib.SMTPRecipientsRefused):
            code = max(status for status, _ in exc.recipients.values())
            reason = f"the mail server refused the recipient: {code}"
            return (Refused(reason) if code >= PERMANENT else Failed(reason)), True
        if isinstance(exc, smtplib.SMTPDataError):
            reason = f"the mail server refused the mail: {exc.smtp_code}"
            return (Refused(reason) if exc.smtp_code >= PERMANENT else Failed(reason)), True
        if isinstance(exc, smtplib.SMTPNotSupportedError) and self._smtp:
            return Refused("the mail server does not take such an address"), True
        self._drop()
        code_or_kind = getattr(exc, "smtp_code", None) or type(exc).__name__
        logger.warning("mail: the server at %s refuses: %s", self._mail.host, code_or_kind)
        return Failed(f"the mail server refused: {code_or_kind}"), False


def _mail(item: Item) -> str:
    return mail_id(item.delivery)
