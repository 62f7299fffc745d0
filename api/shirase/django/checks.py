"""``manage.py check``: errors in the site's settings, and their fixes."""

import logging
import re
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning  # noqa: A004 - Django's name
from django.core.handlers.base import BaseHandler
from django.db import connections
from django.test import RequestFactory
from django.urls import NoReverseMatch, get_script_prefix, reverse

from shirase.django import configuration
from shirase.django.database import VENDORS
from shirase.errors import SettingsError
from shirase.web import problems

log = logging.getLogger("django.request")

GRIP = "django_grip.GripMiddleware"
AUTHENTICATION = "django.contrib.auth.middleware.AuthenticationMiddleware"
NOT_FOR_A_STREAM = "django.middleware.gzip.GZipMiddleware"


def check(**_: Any) -> list[CheckMessage]:
    """Every error."""
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
            " sets it for the proxy's; with verify-key alone it fails.",
            id="shirase.E002",
        )


def _settings() -> Iterator[CheckMessage]:
    try:
        configuration.read()
    except SettingsError as exc:
        if exc.name != "GRIP_URL":  # reported above
            yield Error(str(exc), hint="See docs/django.md of Shirase.", id="shirase.E003")


def _middleware() -> Iterator[CheckMessage]:
    for middleware, number in ((GRIP, "E004"), (AUTHENTICATION, "E005")):
        if middleware not in settings.MIDDLEWARE:
            yield Error(
                f"{middleware} is not in MIDDLEWARE.",
                hint=f"Add {middleware!r} to MIDDLEWARE.",
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
    if settings.SECURE_SSL_REDIRECT and not any(re.search(pattern, path.lstrip("/")) for pattern in exempt):
        yield Warning(
            "SECURE_SSL_REDIRECT redirects the proxy where it reads a stream again, which ends the stream.",
            hint=f"Add r'^{path.lstrip('/')}' to SECURE_REDIRECT_EXEMPT.",
            id="shirase.W003",
        )
    else:
        yield from _middleware_in_between(path)


def _middleware_in_between(path: str) -> Iterator[CheckMessage]:
    """Send the proxy's request, without a session, and check that the view itself refuses it."""
    host = next((host for host in settings.ALLOWED_HOSTS if not host.startswith((".", "*"))), "localhost")
    request = RequestFactory().get(path.removeprefix(get_script_prefix().rstrip("/")), headers={"host": host})
    handler = BaseHandler()
    log.disabled, was_disabled = True, log.disabled  # of the view's own refusal
    try:
        handler.load_middleware()
        answer = handler.get_response(request)
    except Exception:  # noqa: BLE001 - the site's own code may need tables that do not exist yet
        return
    finally:
        log.disabled = was_disabled
    refused = answer.status_code == HTTPStatus.FORBIDDEN and answer.headers["Content-Type"] == problems.CONTENT_TYPE
    if (
        refused
        or answer.status_code == HTTPStatus.BAD_REQUEST
        or answer.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    ):
        return  # otherwise the site is not set up yet: no host is allowed, or tables are missing
    yield Warning(
        f"A middleware answers {answer.status_code} to the proxy's recoveries, so its streams stop receiving events.",
        hint=f"Let requests for {path} and below pass; they prove themselves by the proxy's signature.",
        id="shirase.W004",
    )
