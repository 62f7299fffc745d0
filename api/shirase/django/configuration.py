"""What a site says in its settings: ``GRIP_URL`` or ``GRIP_PROXIES`` as django-grip has them, and ``SHIRASE``.

GRIP_URL = "http://127.0.0.1:8001?key=…"   # the control port, and the key that the proxy signs with
SHIRASE = {
    "DATABASE": "default",               # the connection with the tables; PostgreSQL or SQLite
    "USER_ID": "site.users.shirase_id",  # a user to its id; by default the primary key as text
    "TOPICS": "site.users.topics",       # a user to the names of its topics, besides those that it is a member of
    # and any setting of the service by its own name, such as DATABASE_SCHEMA or SSE_KEEPALIVE_TIMEOUT
}
"""

from base64 import b64encode
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any
from urllib.parse import urlencode

from django.conf import settings as django_settings
from django.utils.module_loading import import_string
from gripcontrol import parse_grip_uri

from shirase.errors import SettingsError
from shirase.settings import Settings

OWN = ("DATABASE", "USER_ID", "TOPICS")
DERIVED = ("DATABASE_URL", "GRIP_URL", "PUSHPIN_SIG_KEY")
KNOWN = {field.name.upper() for field in fields(Settings)} - set(DERIVED)


@dataclass(frozen=True, slots=True)
class Site:
    """A site's settings, checked."""

    settings: Settings
    alias: str
    user_id: Callable[[Any], str]
    topics: Callable[[Any], Iterable[str]] | None


def read() -> Site:
    """Read the site's settings.

    Raises:
        SettingsError: for the first that is wrong, by its name.
    """
    given: Mapping[str, Any] = getattr(django_settings, "SHIRASE", {})
    for name in given:
        if name in DERIVED:
            raise SettingsError(f"SHIRASE[{name!r}]", "is what DATABASES and GRIP_URL say already")
        if name not in KNOWN and name not in OWN:
            raise SettingsError(f"SHIRASE[{name!r}]", "is not a setting")
    nodes = proxies()
    if not nodes:
        raise SettingsError("GRIP_URL", "is not set")
    if not all(node.get("key") for node in nodes):
        raise SettingsError("GRIP_URL", "has no key")
    environ = {name: _text(value) for name, value in given.items() if name not in OWN}
    environ |= {
        "DATABASE_URL": "postgresql:///",  # never opened: connections are the site's own
        "GRIP_URL": " ".join(map(_url, nodes)),
        "PUSHPIN_SIG_KEY": "base64:" + _base64(nodes[0].get("verify_key") or nodes[0]["key"]),
    }
    settings = Settings.from_env(environ, tokens=False)
    user_id = _function("USER_ID", given.get("USER_ID"), "a user to its id") or primary_key
    topics = _function("TOPICS", given.get("TOPICS"), "a user to the names of its topics")
    return Site(settings, str(given.get("DATABASE", "default")), user_id, topics)


def proxies() -> list[dict[str, Any]]:
    """The proxy nodes as django-grip sees them."""
    found = list(getattr(django_settings, "GRIP_PROXIES", []))
    url = getattr(django_settings, "GRIP_URL", None)
    return found + ([parse_grip_uri(url)] if url else [])


def primary_key(user: Any) -> str:
    """The id of a user, unless ``SHIRASE["USER_ID"]`` names another function."""
    return str(user.pk)


def _function(name: str, given: Any, what: str) -> Callable[[Any], Any] | None:
    if given is None:
        return None
    try:
        found = import_string(given) if isinstance(given, str) else given
    except ImportError as exc:
        raise SettingsError(f"SHIRASE[{name!r}]", str(exc)) from exc
    if not callable(found):
        raise SettingsError(f"SHIRASE[{name!r}]", f"must be a function, or where one is: {what}")
    wanted: Callable[[Any], Any] = found
    return wanted


def _text(value: Any) -> str:
    """As it would stand in the environment."""
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list | tuple | set) else str(value)


def _url(node: Mapping[str, Any]) -> str:
    """Where to publish, and what else the node may sign with. Pushpin's control port asks nobody who they are."""
    query = {}
    if node.get("verify_key"):
        query["verify-key"] = "base64:" + _base64(node["verify_key"])
    if node.get("verify_iss"):
        query["verify-iss"] = str(node["verify_iss"])
    return f"{node['control_uri']}?{urlencode(query)}" if query else str(node["control_uri"])


def _base64(key: str | bytes) -> str:
    return b64encode(key.encode() if isinstance(key, str) else key).decode()
