"""Addresses of Apprise: which ones are accepted for a user, and the text that goes to them.

Where requests really go is checked at each connect, in the process that makes them (``relay/apprise/worker.py``).
"""

import hashlib
import re
import sys
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import orjson

from shirase.errors import FieldError, Invalid
from shirase.fields import Content, absolute
from shirase.outbound import PORTS, check_url, is_listed
from shirase.settings import Settings

# An id that has no meaning in any part of an address.
PLAIN_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")

# What chat services read as a mention: of everyone, wherever it is, and of others. An e-mail address is none, nor is
# what is a part of a link.
MENTION = re.compile(
    r"@(?=(?:everyone|here|channel|all|room)\b(?!\.\w))|(?<![\w/])@(?=[\w*&!])|<(?=[@!#])", re.IGNORECASE
)
APART = "\u200b"  # not shown; after it, a mention is text


def check(settings: Settings, addresses: Sequence[str]) -> None:
    """Check a user's addresses.

    Raises:
        Invalid: naming each that cannot be used, or if the channel is off.
    """
    if addresses and not settings.apprise:
        raise Invalid(FieldError("apprise", "must be empty: the setting APPRISE is off"))
    wrong = []
    for number, address in enumerate(addresses):
        try:
            check_address(address, settings.outbound_private_hosts)
        except ValueError as exc:
            wrong.append(FieldError(f"apprise[{number}]", str(exc)))
    if wrong:
        raise Invalid(*wrong)


def check_address(address: str, private_hosts: Collection[str]) -> None:
    """Check one address, without looking up any name.

    Raises:
        ValueError: if Apprise does not know it, or it is for anything but HTTPS in the public network.
    """
    if not address.isprintable() or " " in address:
        raise ValueError("must be an address of Apprise, without spaces")
    service, parts = _parse(address)
    # Plugins of programs, files, devices and other protocols do not import it.
    if "requests" not in vars(sys.modules[service.__module__]):
        raise ValueError("must be a service that Apprise reaches over HTTP")
    host = str(parts.get("host") or "").lower()
    uses_tls = parts["schema"] in _schemes(service.secure_protocol)
    port = int(parts.get("port") or PORTS["https" if uses_tls else "http"])
    if not any("{host}" in str(template) for template in service.templates) or is_listed(private_hosts, host, port):
        return
    if parts.get("verify") is False:
        raise ValueError("must not have verify=no, unless OUTBOUND_PRIVATE_HOSTS lists its host")
    if not uses_tls:
        raise ValueError("must use TLS, as jsons:// does, unless OUTBOUND_PRIVATE_HOSTS lists its host")
    check_url(f"https://{f'[{host}]' if ':' in host else host}", private_hosts)


def _parse(address: str) -> tuple[Any, dict[str, Any]]:
    """The plugin of an address, and what it reads there."""
    # Loading every plugin takes a second: only a process that needs them does.
    from apprise.manager_plugins import NotificationManager  # noqa: PLC0415

    manager: Any = NotificationManager()
    scheme = address.partition("://")[0].lower()
    # As Apprise does itself, but without logging the address. Others may be a service's own, such as Slack's https://.
    readers = (
        [manager[scheme].parse_url] if scheme in manager else [plugin.parse_native_url for plugin in manager.plugins()]
    )
    parts: dict[str, Any] | None = next(filter(None, (_read(reader, address) for reader in readers)), None)
    if not parts or parts.get("schema") not in manager:
        raise ValueError("must be an address that Apprise knows, such as ntfys://ntfy.example.com/aiko")
    return manager[parts["schema"]], parts


def _read(reader: Any, address: str) -> Any:
    try:
        return reader(address)
    except Exception:  # noqa: BLE001 - a plugin's own, for what it did not expect
        return None


def _schemes(names: Any) -> Collection[str]:
    return (names,) if isinstance(names, str) else tuple(names or ())


def shown(address: str) -> str:
    """What answers show of an address."""
    return address.partition("://")[0] + "://…"


def digest(address: str) -> str:
    """The target of a delivery to this address."""
    return hashlib.sha256(address.encode("utf-8", "surrogatepass")).hexdigest()


def addresses_of(settings: Settings, user_id: str, own: Sequence[str]) -> dict[str, str]:
    """By digest: a user's addresses, and those that the operator has for every user."""
    templates = settings.apprise_urls if PLAIN_ID.fullmatch(user_id) else ()
    for_all = [template.replace("{user_id}", user_id) for template in templates]
    return {digest(address): address for address in (*own, *for_all)}


def without_mentions(text: str) -> str:
    """A text of a notification, which cannot notify the members of a chat."""
    return MENTION.sub(lambda match: match[0] + APART, text)


def links(base: str | None, content: Content, open_word: str) -> Iterator[str]:
    """The lines with the links of a notification; a path needs a base."""
    pairs = [(open_word, content.url)] if content.url else []
    pairs += [(action["label"], action["url"]) for action in orjson.loads(content.actions or "[]")]
    for label, address in pairs:
        if base or not address.startswith("/"):
            yield f"{without_mentions(label)}: {absolute(base or '', address)}"
