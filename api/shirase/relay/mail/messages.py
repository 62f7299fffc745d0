"""Makes a mail of a user's notifications, by Jinja2 templates that a host can replace."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from pathlib import Path
from typing import Any
from urllib.parse import urljoin
from zoneinfo import ZoneInfo

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from shirase.inbox import unsubscribe
from shirase.mail_settings import MailSettings
from shirase.relay.channels import Item
from shirase.relay.mail.words import RIGHT_TO_LEFT, WORDS, language
from shirase.settings import Settings
from shirase.store.contacts import Contact
from shirase.store.rules import EVERYTHING
from shirase.types import Delivery

OURS = Path(__file__).parent / "templates"
LONGEST_SUBJECT = 200  # characters


class Composer:
    """Makes mails of one service."""

    def __init__(self, settings: Settings, mail: MailSettings) -> None:
        """Load the templates: the host's take precedence, and in each place those of the user's language."""
        self._settings = settings
        self._mail = mail
        folders = [folder for folder in (mail.templates, OURS) if folder]
        self._templates = Environment(
            loader=FileSystemLoader(folders),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def compose(self, items: Sequence[Item], contact: Contact, critical: frozenset[str]) -> EmailMessage:
        """The mail with these notifications of one user, in the user's language.

        Args:
            items: what is due, in order.
            contact: where it goes; it has an address.
            critical: the types that cannot be switched off.
        """
        user_id = items[0].notification.user_id
        types = {item.notification.content.type for item in items}
        scope = next(iter(types)) if len(types) == 1 else EVERYTHING
        link = None
        if not types <= critical:
            link = unsubscribe.address(self._settings, self._mail.link_base, user_id, scope)
        chosen = language(contact.locale)
        values: dict[str, Any] = {
            "notifications": [self._fields(item, contact) for item in items],
            "words": WORDS[chosen],
            "language": chosen,
            "direction": "rtl" if chosen in RIGHT_TO_LEFT else "ltr",
            "user_id": user_id,
            "unsubscribe_url": link,
        }
        subject = " ".join(self._render("subject.txt", chosen, values).split())[:LONGEST_SUBJECT]
        values["subject"] = subject
        message = EmailMessage(policy=SMTP)
        message["Subject"] = subject
        self._head(message, items, str(contact.email), link)
        message.set_content(self._render("mail.txt", chosen, values).strip() + "\n")
        message.add_alternative(self._render("mail.html", chosen, values), subtype="html")
        return message

    def _head(self, message: EmailMessage, items: Sequence[Item], email: str, link: str | None) -> None:
        domain = self._mail.sender.domain
        local, _, host = email.rpartition("@")
        message["From"] = self._mail.sender
        message["To"] = Address(username=local, domain=host)
        message["Date"] = format_datetime(datetime.now(UTC))
        message["Message-ID"] = f"<{mail_id(items[0].delivery)}@{domain}>"  # the same at each attempt
        message["X-Shirase-Deliveries"] = " ".join(item.delivery.uid for item in items)
        message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no automatic reply
        notification = items[0].notification
        if len(items) == 1 and notification.content.key:  # mails of one key are one conversation
            root = _digest(f"{notification.user_id}\n{notification.content.key}")
            message["References"] = message["In-Reply-To"] = f"<key-{root}@{domain}>"
        if link:
            message["List-Unsubscribe"] = f"<{link}>"
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"

    def _fields(self, item: Item, contact: Contact) -> dict[str, Any]:
        """A notification as templates see it: with absolute links, and its time in the user's zone."""
        content = item.notification.content
        zone = ZoneInfo(contact.timezone) if contact.timezone else UTC
        created = item.notification.updated_at or item.notification.created_at
        actions = orjson.loads(content.actions or "[]")
        return {
            "id": item.notification.id,
            "type": content.type,
            "title": content.title,
            "message": content.message,
            "category": content.category,
            "priority": content.priority or "normal",
            "payload": orjson.loads(content.payload or "{}"),
            "count": item.notification.count,
            "url": self._absolute(content.url),
            "actions": [{**action, "url": self._absolute(action["url"])} for action in actions],
            "created_at": f"{created.astimezone(zone):%Y-%m-%d %H:%M} {contact.timezone or 'UTC'}",
        }

    def _absolute(self, address: str | None) -> str | None:
        return urljoin(self._mail.link_base, address) if address else None

    def _render(self, name: str, chosen: str, values: dict[str, Any]) -> str:
        return self._templates.select_template([f"{chosen}/{name}", name]).render(values)


def mail_id(delivery: Delivery) -> str:
    """The id of the mail that a delivery is in."""
    return delivery.bundle or delivery.uid


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:32]
