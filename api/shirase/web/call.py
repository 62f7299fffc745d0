"""The current call: the request, the services, and headers for its response."""

import secrets
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from shirase.access.tokens import Identity
from shirase.inbox.services import Services
from shirase.web.http import Request

# Identifies the caller of a host's request: a user's id, an Identity with scopes, or None if nobody signed in.
HostSignIn = Callable[[Any], Identity | str | int | UUID | None]
# The topics of a request's user; ``None`` leaves them as they are.
HostTopics = Callable[[Any], Iterable[str] | None]


@dataclass(frozen=True, slots=True)
class Call:
    """One request while it is being processed."""

    services: Services
    request: Request
    identify: HostSignIn | None = None  # if None, tokens are used
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    started: float = field(default_factory=time.perf_counter)
    headers: dict[str, str] = field(default_factory=dict)  # added to the response, successful or not


current: ContextVar[Call] = ContextVar("call")


def services() -> Services:
    """The services of the current call."""
    return current.get().services


def request() -> Request:
    """The request of the current call."""
    return current.get().request
