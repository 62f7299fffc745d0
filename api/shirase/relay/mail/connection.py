"""A connection to the mail server, for any number of mails."""

import logging
import smtplib

from shirase import tls
from shirase.mail_settings import NONE, STARTTLS, TLS, MailSettings
from shirase.relay.channels import Failed, Outcome, Refused, Sent
from shirase.relay.mail.messages import Message
from shirase.relay.mail.replies import BoundedSmtp, BoundedSmtpTls

logger = logging.getLogger(__name__)

TEMPORARY = 400  # the first status of refusals
PERMANENT = 500  # the first status of permanent refusals
UTF8 = ("SMTPUTF8", "BODY=8BITMIME")  # for an address with other characters than ASCII (RFC 6531)


class Connection:
    """Connects for the first mail, and again when the server has closed the connection. Not for several threads."""

    def __init__(self, mail: MailSettings) -> None:
        """Prepare, without connecting."""
        self._mail = mail
        self._smtp: smtplib.SMTP | None = None

    def send(self, message: Message) -> tuple[Outcome, bool]:
        """Send one mail; returns the outcome, and whether the server answered."""
        if self._smtp:
            try:
                _send(self._smtp, message)
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
            _send(self._smtp, message)
        except smtplib.SMTPException as exc:
            return self._failed(exc)
        except OSError as exc:
            self._drop()
            logger.warning("mail: the server at %s does not answer: %s", self._mail.host, type(exc).__name__)
            return Failed("the mail server does not answer"), False
        return Sent(), True

    def check(self) -> None:
        """Connect, sign in and name the sender, without a mail.

        Raises:
            SMTPException: if the server refuses one of these.
            OSError: if it does not answer.
        """
        self._smtp = self._connect()
        self._smtp.ehlo_or_helo_if_needed()
        sender = self._mail.sender.addr_spec
        code, words = self._smtp.mail(sender)
        if code >= TEMPORARY:
            raise smtplib.SMTPSenderRefused(code, words, sender)

    def close(self) -> None:
        """End the connection, if there is one."""
        smtp, self._smtp = self._smtp, None
        if smtp:
            try:
                smtp.quit()
            except (OSError, smtplib.SMTPException):
                smtp.close()

    def _connect(self) -> smtplib.SMTP:
        mail = self._mail
        if mail.security == TLS:
            smtp: BoundedSmtp = BoundedSmtpTls(mail.host, mail.port, timeout=mail.timeout, context=tls.context())
        else:
            smtp = BoundedSmtp(mail.host, mail.port, timeout=mail.timeout)
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


def _send(smtp: smtplib.SMTP, message: Message) -> None:
    options = () if (message.sender + message.recipient).isascii() else UTF8
    smtp.sendmail(message.sender, [message.recipient], message.content, options)
