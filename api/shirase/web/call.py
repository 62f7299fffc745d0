"""The call that is being answered: the request, the parts it is answered with, and what its answer carries anyway."""

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

# Who a request of the host's framework is from: a user's id, an Identity with scopes, or None if nobody signed in.
HostSignIn = Callable[[Any], Identity | str | int | UUID | None]
# Which topics the user of a request has; ``None`` says nothing about it.
HostTopics = Callable[[Any], Iterable[str] | None]


@dataclass(frozen=True, slots=True)
class Call:
    """One request on its way to its answer."""

    services: Services
    request: Request
    identify: HostSignIn | None = None  # without it, tokens count
    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    started: float = field(default_factory=time.perf_counter)
    headers: dict[str, str] = field(default_factory=dict)  # of the answer, whether it is an error or not


current: ContextVar[Call] = ContextVar("call")


def services() -> Services:
    """The parts that the current call is answered with."""
    return current.get().services


def request() -> Request:
    """The request of the current call."""
    return current.get().request
