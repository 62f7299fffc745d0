"""A site's settings: ``GRIP_URL`` or ``GRIP_PROXIES`` as for django-grip, and ``SHIRASE``.

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
    """A site's validated settings."""

    settings: Settings
    alias: str
    user_id: Callable[[Any], str]
    topics: Callable[[Any], Iterable[str]] | None


def read() -> Site:
    """Read the site's settings.

    Raises:
        SettingsError: for the first invalid one, by its name.
    """
    values: Mapping[str, Any] = getattr(django_settings, "SHIRASE", {})
    for name in values:
        if name in DERIVED:
            raise SettingsError(f"SHIRASE[{name!r}]", "is already set by DATABASES and GRIP_URL")
        if name not in KNOWN and name not in OWN:
            raise SettingsError(f"SHIRASE[{name!r}]", "is not a setting")
    nodes = proxies()
    if not nodes:
        raise SettingsError("GRIP_URL", "is not set")
    if not all(node.get("key") for node in nodes):
        raise SettingsError("GRIP_URL", "has no key")
    environ = {name: _text(value) for name, value in values.items() if name not in OWN}
    environ |= {
        "DATABASE_URL": "postgresql:///",  # never opened: the connections are the site's
        "GRIP_URL": " ".join(map(_url, nodes)),
        "PUSHPIN_SIG_KEY": "base64:" + _base64(nodes[0].get("verify_key") or nodes[0]["key"]),
    }
    settings = Settings.from_env(environ, tokens=False)
    user_id = _function("USER_ID", values.get("USER_ID"), "a user to its id") or primary_key
    topics = _function("TOPICS", values.get("TOPICS"), "a user to the names of its topics")
    return Site(settings, str(values.get("DATABASE", "default")), user_id, topics)


def proxies() -> list[dict[str, Any]]:
    """The proxy nodes in django-grip's settings."""
    nodes = list(getattr(django_settings, "GRIP_PROXIES", []))
    url = getattr(django_settings, "GRIP_URL", None)
    return nodes + ([parse_grip_uri(url)] if url else [])


def primary_key(user: Any) -> str:
    """The default of ``SHIRASE["USER_ID"]``: a user's primary key as text.

    Raises:
        TypeError: if it is no user.
        ValueError: if it has no primary key; its text would be the id "None".
    """
    try:
        key = user.pk
    except AttributeError as exc:
        raise TypeError(f"user must be a user, not {user!r}; for an id there is user_id") from exc
    if key is None:
        raise ValueError(f"user {user!r} has no primary key: it is anonymous, not saved yet, or deleted")
    return str(key)


def _function(name: str, value: Any, what: str) -> Callable[[Any], Any] | None:
    if value is None:
        return None
    try:
        function = import_string(value) if isinstance(value, str) else value
    except ImportError as exc:
        raise SettingsError(f"SHIRASE[{name!r}]", str(exc)) from exc
    if not callable(function):
        raise SettingsError(f"SHIRASE[{name!r}]", f"must be a function, or where one is: {what}")
    converted: Callable[[Any], Any] = function
    return converted


def _text(value: Any) -> str:
    """Convert a value to the text that the environment would have."""
    if value is None:
        return ""
    return " ".join(map(str, value)) if isinstance(value, list | tuple | set) else str(value)


def _url(node: Mapping[str, Any]) -> str:
    """A node's control address, with other keys that it may sign with. Pushpin's port has no authentication."""
    query = {}
    if node.get("verify_key"):
        query["verify-key"] = "base64:" + _base64(node["verify_key"])
    if node.get("verify_iss"):
        query["verify-iss"] = str(node["verify_iss"])
    return f"{node['control_uri']}?{urlencode(query)}" if query else str(node["control_uri"])


def _base64(key: str | bytes) -> str:
    return b64encode(key.encode() if isinstance(key, str) else key).decode()
