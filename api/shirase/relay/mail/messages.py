"""Makes a mail of a user's notifications, by Jinja2 templates that a host can replace."""

import hashlib
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import orjson
from jinja2 import (
    Environment,
    FileSystemLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
    select_autoescape,
)

from shirase.errors import SettingsError, ShiraseError
from shirase.fields import absolute
from shirase.inbox import unsubscribe
from shirase.inbox.translations import RIGHT_TO_LEFT, WORDS, language
from shirase.mail_settings import MailSettings
from shirase.quiet_hours import zone_of
from shirase.relay.channels import Item
from shirase.relay.mail import mime
from shirase.settings import Settings
from shirase.store.contacts import Contact
from shirase.store.rules import EVERYTHING
from shirase.types import Delivery, Notification

OURS = Path(__file__).parent / "templates"
SUBJECT, PLAIN, HTML = TEMPLATES = ("subject.txt", "mail.txt", "mail.html")
LONGEST_SUBJECT = 200  # characters
LONGEST_REASON = 200  # characters, which a delivery's row has room for


class WrongTemplate(ShiraseError):
    """A template cannot be rendered. The text names its file, the line and the reason.

    It has names that the template looks up, and no values.
    """


@dataclass(frozen=True, slots=True)
class Message:
    """A mail to one recipient."""

    sender: str
    recipient: str
    content: bytes


class Composer:
    """Makes mails of one service."""

    def __init__(self, settings: Settings, mail: MailSettings) -> None:
        """Load the templates; see ``load``."""
        self._settings = settings
        self._mail = mail
        self._from = mime.mailbox(mail.sender.display_name, mail.sender.addr_spec)
        self._templates = load(mail.templates)

    def compose(self, items: Sequence[Item], contact: Contact, critical: frozenset[str]) -> Message:
        """The mail with these notifications of one user, in the user's language.

        Args:
            items: what is due, in order.
            contact: where it goes; it has an address.
            critical: the types that cannot be switched off.
        """
        user_id = items[0].notification.user_id
        shown = {item.notification.id: item.notification for item in items}.values()  # one may have several steps due
        types = {item.notification.content.type for item in items}
        scope = next(iter(types)) if len(types) == 1 else EVERYTHING
        link = None
        if not types <= critical:
            link = unsubscribe.address(self._settings, self._mail.link_base, user_id, scope)
        chosen = language(contact.locale)
        values: dict[str, Any] = {
            "notifications": [self._fields(notification, contact) for notification in shown],
            "words": WORDS[chosen],
            "language": chosen,
            "direction": "rtl" if chosen in RIGHT_TO_LEFT else "ltr",
            "user_id": user_id,
            "unsubscribe_url": link,
        }
        subject = " ".join(self._render(SUBJECT, chosen, values).split())[:LONGEST_SUBJECT]
        values["subject"] = subject
        plain = self._render(PLAIN, chosen, values).strip() + "\n"
        html = self._render(HTML, chosen, values) + "\n"
        recipient = str(contact.email)
        head = [("Subject", mime.text(subject)), ("From", self._from), ("To", recipient), *self._head(items, link)]
        return Message(self._mail.sender.addr_spec, recipient, mime.written(head, plain, html))

    def _head(self, items: Sequence[Item], link: str | None) -> Iterator[tuple[str, str]]:
        domain = self._mail.sender.domain
        yield "Date", format_datetime(datetime.now(UTC))
        yield "Message-ID", f"<{mail_id(items[0].delivery)}@{domain}>"  # the same at each attempt
        yield "X-Shirase-Deliveries", mime.FOLD.join(item.delivery.uid for item in items)
        yield "Auto-Submitted", "auto-generated"  # RFC 3834: no automatic reply
        notification = items[0].notification
        is_alone = all(item.notification.id == notification.id for item in items)
        if is_alone and notification.content.key:  # mails of one key are one conversation
            root = _digest(f"{notification.user_id}\n{notification.content.key}")
            yield "References", f"<key-{root}@{domain}>"
            yield "In-Reply-To", f"<key-{root}@{domain}>"
        if link:
            yield "List-Unsubscribe", mime.address(link)
            yield "List-Unsubscribe-Post", "List-Unsubscribe=One-Click"

    def _fields(self, notification: Notification, contact: Contact) -> dict[str, Any]:
        """A notification as templates see it: with absolute links, and its time in the user's zone."""
        content = notification.content
        zone = zone_of(contact.timezone)
        created = notification.updated_at or notification.created_at
        actions = orjson.loads(content.actions or "[]")
        return {
            "id": notification.id,
            "type": content.type,
            "title": content.title,
            "message": content.message,
            "category": content.category,
            "priority": content.priority or "normal",
            "payload": orjson.loads(content.payload or "{}"),
            "count": notification.count,
            "url": self._absolute(content.url),
            "actions": [{**action, "url": self._absolute(action["url"])} for action in actions],
            "created_at": f"{created.astimezone(zone):%Y-%m-%d %H:%M} {zone}",
        }

    def _absolute(self, address: str | None) -> str | None:
        return absolute(self._mail.link_base, address) if address else None

    def _render(self, name: str, chosen: str, values: dict[str, Any]) -> str:
        try:
            return self._templates[chosen, name].render(values)
        except TemplateError as exc:
            raise WrongTemplate(described(exc, name, self._mail.templates)) from exc


def load(folder: Path | None) -> Mapping[tuple[str, str], Template]:
    """The template of each language and name: the host's take precedence, and in each place those of the language.

    Raises:
        SettingsError: if one of the host's cannot be read, or is not a template.
    """
    environment = Environment(
        loader=FileSystemLoader([folder, OURS] if folder else OURS),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    templates = {}
    for chosen in WORDS:
        for name in TEMPLATES:
            path = f"{chosen}/{name}" if folder and (folder / chosen / name).is_file() else name
            try:
                templates[chosen, name] = environment.get_template(path)
            except TemplateSyntaxError as exc:
                raise SettingsError("MAIL_TEMPLATES", described(exc, path, folder)) from exc
            except UnicodeDecodeError as exc:
                line = exc.object.count(b"\n", 0, exc.start) + 1
                raise SettingsError("MAIL_TEMPLATES", f"{path}, line {line}: is not UTF-8") from exc
            except OSError as exc:
                raise SettingsError("MAIL_TEMPLATES", f"{path}: cannot be read: {exc.strerror}") from exc
    return templates


def described(error: TemplateError, path: str, folder: Path | None) -> str:
    """The mistake in a template on one line: the file, the line and the reason.

    Args:
        error: what Jinja raised.
        path: the template that was loaded or rendered; the mistake may be in one that it includes.
        folder: the host's templates.
    """
    line: int | None = None
    if isinstance(error, TemplateSyntaxError):
        path, line = error.name or path, error.lineno
    elif folder:  # Jinja names the lines of templates in the traceback, the innermost last
        for frame in traceback.extract_tb(error.__traceback__):
            if Path(frame.filename).is_relative_to(folder):
                path, line = str(Path(frame.filename).relative_to(folder)), frame.lineno
    place = f"{path}, line {line}" if line else path
    return " ".join(f"{place}: {error.message}".split())[:LONGEST_REASON]


def mail_id(delivery: Delivery) -> str:
    """The id of the mail that a delivery is in."""
    return delivery.bundle or delivery.uid


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
