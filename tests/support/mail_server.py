"""A mail server on a free port of loopback, which keeps what it accepts and fails as a test requires."""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

HANG, DROP = "hang", "drop"  # answers that are none


@dataclass
class Arrival:
    """A mail that was accepted."""

    message_id: str
    deliveries: list[str]
    lost: bool  # its answer was
    at: float = field(default_factory=time.monotonic)


class MailServer:
    """Accepts mail; ``refuse`` may answer a recipient with a status line, ``HANG`` or ``DROP``."""

    def __init__(
        self,
        *,
        context: ssl.SSLContext | None = None,
        password: str | None = None,
        quotes: bool = False,  # a wrong password, in the refusal
        **options: Any,
    ) -> None:
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.connections = 0
        self.refuse: Callable[[str], str | None] = lambda _: None
        self.lose: Callable[[], bool] = lambda: False  # whether to accept a mail and to drop the answer
        self.arrivals: list[Arrival] = []
        self._password, self._quotes = password, quotes
        self._stopped = False
        self._transports: list[Any] = []
        if password:
            options |= {"authenticator": self._authenticate, "auth_required": True}
        with closing(socket.create_server(("127.0.0.1", 0))) as free:  # the controller needs a number
            self.port = int(free.getsockname()[1])
        self._controller = Controller(
            self, hostname="127.0.0.1", port=self.port, ready_timeout=30, tls_context=context, **options
        )

    def __enter__(self) -> Self:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Stop listening; also more than once."""
        if not self._stopped:
            self._stopped = True
            for transport in self._transports:
                self._controller.loop.call_soon_threadsafe(transport.abort)
            self._controller.stop()

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        self.connections += 1
        self._transports.append(server.transport)
        session.host_name = hostname
        assert envelope
        return responses

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        assert session
        answer = self.refuse(address)
        if answer == HANG:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
        if answer == DROP:
            transport: Any = server.transport
            transport.abort()
        if answer:
            return answer
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert server
        assert session
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=policy.default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients += envelope.rcpt_tos
        is_lost = self.lose()
        self.arrivals.append(Arrival(mail["Message-ID"], mail["X-Shirase-Deliveries"].split(), is_lost))
        if is_lost:
            transport: Any = server.transport
            transport.abort()
        return "250 accepted"

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, data: Any
    ) -> AuthResult:
        password = data.password.decode()
        words = f"535 5.7.8 not the password: {password}" if self._quotes else None
        is_right = password == self._password
        return AuthResult(success=is_right, handled=False, message=None if is_right else words)


def text_of(mail: EmailMessage, kind: str = "plain") -> str:
    """The plain or HTML body."""
    body = mail.get_body((kind,))
    assert body
    return str(body.get_content()).replace("\r\n", "\n")
