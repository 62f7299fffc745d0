"""Checks of what leaves the inbox: the mail server, deliveries that are late or fail, webhooks that are paused."""

import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from shirase.errors import DatabaseUnavailable
from shirase.mail_settings import STARTTLS, MailSettings
from shirase.policies import APPRISE, EMAIL, WEB_PUSH
from shirase.relay.mail.connection import Connection as Smtp
from shirase.run.doctor.findings import TIMEOUT, Check, Failed, Skipped
from shirase.settings import Settings
from shirase.store import deliveries, webhooks
from shirase.store.database import Database

LATE = timedelta(minutes=5)  # as in the alert ShiraseDeliveriesWait
SETTINGS = {EMAIL: "SMTP_HOST", WEB_PUSH: "VAPID_PRIVATE_KEY", APPRISE: "APPRISE=on"}


class Reach:
    """The checks."""

    def __init__(self, settings: Settings, is_usable: Callable[[], bool]) -> None:
        """Prepare, without connecting; ``is_usable`` returns whether the database answers with a usable schema."""
        self._settings = settings
        self._database = Database(settings.database_url, TIMEOUT, settings.database_schema)
        self._is_usable = is_usable

    def close(self) -> None:
        """Close the connections."""
        self._database.close()

    def checks(self) -> list[Check]:
        """Return the checks; mail is checked only where its settings are."""
        mail: list[Check] = [("mail", partial(self.mail, self._settings.mail))] if self._settings.mail else []
        return [*mail, ("deliveries", self.deliveries), ("webhooks", self.webhooks)]

    def mail(self, mail: MailSettings) -> str:
        """Check that the mail server accepts our credentials and our sender; nothing is sent."""
        place = f"the server at {mail.host}:{mail.port}"
        try:
            with closing(Smtp(mail)) as smtp:
                smtp.check()
        except smtplib.SMTPAuthenticationError as exc:
            fix = "correct SMTP_USER and SMTP_PASSWORD"
            raise Failed(f"{place} refuses the user or the password: {exc.smtp_code}", fix) from exc
        except smtplib.SMTPSenderRefused as exc:
            fix = "set MAIL_FROM to an address that this user may send from"
            raise Failed(f"{place} refuses the sender: {exc.smtp_code}", fix) from exc
        except smtplib.SMTPNotSupportedError as exc:
            what, fix = "password", "remove SMTP_USER and SMTP_PASSWORD, or use the port where it takes mail from users"
            if mail.security == STARTTLS:
                what, fix = "STARTTLS or no password", "set SMTP_SECURITY=tls and its port, usually 465, or none"
            raise Failed(f"{place} offers no {what}", fix) from exc
        except ssl.SSLError as exc:
            fix = "correct SMTP_HOST, SMTP_PORT or SMTP_SECURITY; SSL_CERT_FILE names an authority of your own"
            raise Failed(f"no TLS with {place}: {exc.reason or exc}", fix) from exc
        except (smtplib.SMTPException, OSError) as exc:
            fix = "correct SMTP_HOST, SMTP_PORT or SMTP_SECURITY, or let this machine reach it"
            raise Failed(f"{place} does not answer: {type(exc).__name__}", fix) from exc
        return f"{place} accepts our sender"

    def deliveries(self) -> str:
        """Check that no channel has deliveries that no relay takes, or that fail."""
        now = datetime.now(UTC)
        with self._reading() as db:
            late = deliveries.overdue(db, now - LATE, now)
            failing = deliveries.failing(db)
            dead = deliveries.count_dead(db)
        for channel, (count, since) in late.items():
            fix = f"set {SETTINGS.get(channel, channel)} and what belongs to it for a relay, or start more relays"
            raise Failed(
                f"{channel}: no relay has taken what is due since {since:%Y-%m-%d %H:%M} (waiting: {count})", fix
            )
        if failing:
            channel, count, reason = failing
            fix = "correct what the reason names; each is tried again for a day"
            raise Failed(f"{channel} fails, waiting: {count}, because: {reason}", fix)
        ended = f"; dead: {dead}, see `shirase deliveries list --state dead`" if dead else ""
        return f"none is late{ended}"

    def webhooks(self) -> str:
        """Check that no webhook is paused."""
        with self._reading() as db:
            every = webhooks.page(db, datetime.now(UTC))
        for webhook in every:
            if webhook.paused_at:
                fix = f"repair its receiver, then run `shirase webhook retry {webhook.name}`"
                raise Failed(f"{webhook.name} is paused with {webhook.waiting} waiting: {webhook.reason}", fix)
            if webhook.failing_since:
                fix = "repair its receiver; it is tried again for a day"
                since = f"{webhook.failing_since:%Y-%m-%d %H:%M}"
                raise Failed(f"{webhook.name} has failed since {since}: {webhook.reason}", fix)
        return f"{len(every)}, none of them paused or failing"

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        if not self._is_usable():
            raise Skipped("not checked: the database cannot be read")
        try:
            with self._database.autocommit() as db:
                yield db
        except DatabaseUnavailable as exc:
            raise Skipped("not checked: the database stopped answering") from exc
