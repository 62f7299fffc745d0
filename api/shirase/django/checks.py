"""``manage.py check``: what is wrong with the site's settings, and what to do."""

import re
from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name
from django.db import connections
from django.urls import NoReverseMatch, reverse

from shirase.django import configuration
from shirase.django.database import VENDORS
from shirase.errors import SettingsError

GRIP = "django_grip.GripMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
NOT_FOR_A_STREAM = "django.middleware.gzip.GZipMiddleware"


def check(**_: Any) -> list[CheckMessage]:
    """All that is wrong."""
    return [*_proxies(), *_settings(), *_middleware(), *_database(), *_links()]


def _proxies() -> Iterator[CheckMessage]:
    nodes = configuration.proxies()
    if not nodes:
        yield Error(
            "GRIP_URL is not set.",
            hint="Name the control port and the proxy's key: 'http://127.0.0.1:8001?key=…'.",
            id="shirase.E001",
        )
    elif not all(node.get("key") for node in nodes):
        yield Error(
            "GRIP_URL has no key.",
            hint="Append ?key=… with the proxy's sig_key. Without it, django-grip takes every request that"
            " says so for the proxy's; with verify-key alone it fails.",
            id="shirase.E002",
        )


def _settings() -> Iterator[CheckMessage]:
    try:
        configuration.read()
    except SettingsError as exc:
        if exc.name != "GRIP_URL":  # that is said above
            yield Error(str(exc), hint="See docs/django.md of Shirase.", id="shirase.E003")


def _middleware() -> Iterator[CheckMessage]:
    for wanted, number in ((GRIP, "E004"), (AUTHENTICATION, "E005")):
        if wanted not in settings.MIDDLEWARE:
            yield Error(
                f"{wanted} is not in MIDDLEWARE.",
                hint=f"Add {wanted!r} to MIDDLEWARE.",
                id=f"shirase.{number}",
            )


def _database() -> Iterator[CheckMessage]:
    alias = getattr(settings, "SHIRASE", {}).get("DATABASE", "default")
    if alias not in connections:
        yield Error(f"SHIRASE['DATABASE'] names {alias!r}, which is not in DATABASES.", id="shirase.E006")
        return
    connection = connections[alias]
    if connection.vendor not in VENDORS:
        yield Error(
            f"DATABASES[{alias!r}] is {connection.display_name}; Shirase keeps its log in PostgreSQL or SQLite.",
            hint="Name another of DATABASES in SHIRASE['DATABASE'].",
            id="shirase.E007",
        )
    elif connection.vendor == "sqlite" and connection.settings_dict["OPTIONS"].get("transaction_mode") != "IMMEDIATE":
        yield Warning(
            f"DATABASES[{alias!r}] begins transactions of SQLite without their lock.",
            hint="Set OPTIONS['transaction_mode'] = 'IMMEDIATE': one that reads first can fail when it writes.",
            id="shirase.W001",
        )


def _links() -> Iterator[CheckMessage]:
    try:
        path = reverse("shirase:recover")
    except NoReverseMatch:
        yield Warning(
            "The URLs of Shirase are not included.",
            hint="Add path('inbox/', include('shirase.django.urls')) to the site's URLs.",
            id="shirase.W002",
        )
        return
    exempt = getattr(settings, "SECURE_REDIRECT_EXEMPT", [])
    if settings.SECURE_SSL_REDIRECT and not any(re.search(one, path.lstrip("/")) for one in exempt):
        yield Warning(
            "SECURE_SSL_REDIRECT sends the proxy away where it reads a stream again, which ends it.",
            hint=f"Add r'^{path.lstrip('/')}' to SECURE_REDIRECT_EXEMPT.",
            id="shirase.W003",
        )
