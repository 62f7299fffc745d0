"""The settings of mail."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.headerregistry import Address
from email.utils import parseaddr
from pathlib import Path

from shirase import variables
from shirase.errors import SettingsError
from shirase.variables import choice, number, optional

STARTTLS, TLS, NONE = "starttls", "tls", "none"
PORTS = {STARTTLS: 587, TLS: 465, NONE: 25}


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """The mail server, and the sender of the mail."""

    host: str
    port: int
    security: str  # STARTTLS, TLS or NONE
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    timeout: float = 10.0  # seconds for a connect, and for each answer of the server
    connections: int = 4  # of one relay
    sender: Address = field(hash=False)  # it cannot be hashed, and caches by settings need a hash
    link_base: str  # the service's address, with which unsubscribe links begin
    templates: Path | None = None  # a directory whose templates replace ours
    window: float = 60.0  # seconds: deliveries to the same user that are due within it share a mail

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "MailSettings | None":
        """Read and check them; ``None`` without ``SMTP_HOST``.

        Raises:
            SettingsError: for the first one that is missing or wrong, by its name.
        """
        host = optional(environ, "SMTP_HOST")
        if host is None:
            return None
        security = choice(environ, "SMTP_SECURITY", STARTTLS, TLS, NONE)
        user, password = optional(environ, "SMTP_USER"), variables.secret(environ, "SMTP_PASSWORD")
        if (user is None) != (password is None):
            raise SettingsError("SMTP_USER and SMTP_PASSWORD", "are set together or not at all")
        for name, value in (("SMTP_USER", user), ("SMTP_PASSWORD", password)):
            if not (value or "").isascii():
                raise SettingsError(name, "must be ASCII: with other characters, no sign-in is possible")
        if password is not None and security == NONE:
            raise SettingsError("SMTP_SECURITY", "must not be none where SMTP_PASSWORD is set: it would be readable")
        link_base = variables.public_url(environ, "PUBLIC_URL")
        if link_base is None:
            raise SettingsError("PUBLIC_URL", "is not set: mail has links to the service")
        return cls(
            host=host,
            port=int(number(environ, "SMTP_PORT", PORTS[security], 1, 65_535)),
            security=security,
            user=user,
            password=password,
            timeout=number(environ, "SMTP_TIMEOUT", 10.0, 0.1, 60, whole=False),
            connections=int(number(environ, "SMTP_CONNECTIONS", 4, 1, 50)),
            sender=_sender(environ),
            link_base=link_base,
            templates=_directory(environ),
            window=number(environ, "MAIL_WINDOW", 60.0, 0, 86_400, whole=False),
        )


def _sender(environ: Mapping[str, str]) -> Address:
    text = variables.required(environ, "MAIL_FROM")
    name, address = parseaddr(text)
    try:
        sender = Address(name, addr_spec=address)
    except (ValueError, IndexError) as exc:
        raise SettingsError("MAIL_FROM", f"must be like Example <noreply@example.com>, not {text!r}") from exc
    if not sender.username or not sender.domain:
        raise SettingsError("MAIL_FROM", f"must be like Example <noreply@example.com>, not {text!r}")
    return sender


def _directory(environ: Mapping[str, str]) -> Path | None:
    path = optional(environ, "MAIL_TEMPLATES")
    if path is not None and not Path(path).is_dir():
        raise SettingsError("MAIL_TEMPLATES", f"is not a directory: {path}")
    return Path(path) if path else None
