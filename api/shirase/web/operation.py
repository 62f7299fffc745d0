"""The decorator of every route: declares what it accepts and returns, checks that, and is the source of OpenAPI."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from shirase import logs
from shirase.access.tokens import Identity
from shirase.errors import FieldError, Forbidden, Invalid, NotFound, RateLimited
from shirase.inbox import drafts
from shirase.types import LARGEST_ID
from shirase.web import auth, bodies, requests
from shirase.web.call import current, request, services
from shirase.web.http import Response

PUBLIC = "public"  # anyone
OPERATOR = "operator"  # anyone at the origin, but nobody through the proxy
PROXY = "proxy"  # the proxy alone, proven by its signature
USER = "user"  # any valid token
USER_IN_QUERY = "user, also by ?ticket= or ?token="  # EventSource cannot send headers
# Any other word is a scope that the token must carry.


@dataclass(frozen=True, slots=True)
class Header:
    """A request header that a route uses."""

    description: str
    pattern: str = ".*"  # of accepted values


@dataclass(frozen=True, slots=True)
class Operation:
    """The declaration of a route."""

    summary: str
    access: str
    answers: Mapping[int, tuple[str, type[BaseModel] | str | None]]  # status: (description, JSON model or media type)
    body: type[drafts.Request] | None = None
    query: type[BaseModel] | None = None
    problems: tuple[int, ...] = ()
    rate: str | None = None  # the rate limit that it counts for
    headers: Mapping[str, Header] = field(default_factory=dict)
    description: str = ""
    is_hold: bool = False  # the proxy holds the response, so HEAD is refused

    @property
    def scope(self) -> str | None:
        """The scope that a token must carry."""
        return None if self.access in (PUBLIC, OPERATOR, PROXY, USER, USER_IN_QUERY) else self.access


def operation(described: Operation) -> Callable[[Callable[..., Response]], Callable[..., Response]]:
    """Make a view of a function, which receives ``caller``, ``body`` and ``query`` as declared."""

    def decorate(view: Callable[..., Response]) -> Callable[..., Response]:
        @wraps(view)
        def wrapper(**path: Any) -> Response:
            _refuse(described)
            if caller := _admit(described):
                path["caller"] = caller
            if path.get("number", 0) > LARGEST_ID:
                raise NotFound("there is no such notification")
            if described.query:
                path["query"] = _query(described.query)
            if described.body:
                path["body"] = bodies.read(described.body)
            return view(**path)

        wrapper.operation = described  # type: ignore[attr-defined]
        return wrapper

    return decorate


def _refuse(described: Operation) -> None:
    """Refuse requests that the operation is not for, regardless of the caller."""
    if described.access == OPERATOR:
        requests.refuse_from_proxy(request().headers)
    requests.refuse_upgrade(request().headers)


def _admit(described: Operation) -> Identity | None:
    """Authenticate, authorise and rate-limit the caller, as far as the operation requires; ``None`` if it is public."""
    caller = None if described.access in (PUBLIC, OPERATOR, PROXY) else _enter(described)
    if described.body:  # before anything is counted: while the body is still arriving, the request is processed again
        bodies.require(caller)
    if caller and described.rate:
        _count(described.rate, caller)
    return caller


def _enter(described: Operation) -> Identity:
    """Authenticate and authorise the caller."""
    caller = _caller(in_query=described.access == USER_IN_QUERY)
    logs.bind(user=caller.user_id)
    if described.scope and not caller.may(described.scope):
        raise Forbidden(f"the token lacks the scope {described.scope}")
    return caller


def _caller(*, in_query: bool) -> Identity:
    if identify := current.get().identify:
        return auth.identify_by_host(request(), services(), identify, is_hold=in_query)
    return auth.identify(request(), services(), in_query=in_query)


def _count(kind: str, caller: Identity) -> None:
    if auth.is_held_poll(request(), services().settings, caller.user_id):
        return  # the proxy repeats a poll that was counted when it began
    usage = services().rate_limits.count(kind, caller.user_id)
    if usage is None:
        return
    # Defined by draft-ietf-httpapi-ratelimit-headers-10.
    current.get().headers["RateLimit-Policy"] = f'"{usage.kind}";q={usage.limit};w={usage.window}'
    current.get().headers["RateLimit"] = f'"{usage.kind}";r={usage.remaining};t={usage.reset}'
    if usage.is_over:
        raise RateLimited(usage.reset)


def json_answer(value: Any, status: int = 200, **headers: str) -> Response:
    """A JSON response; ``value`` may be text or bytes that are JSON already."""
    body = value if isinstance(value, str | bytes) else orjson.dumps(value)
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Response(body, status, "application/json", named)


def _query(model: type[BaseModel]) -> BaseModel:
    # Servers differ in which of two values counts, so an earlier check may have seen the other one.
    counts = Counter(name for name, _ in request().query)
    twice = [FieldError(name, "must be given once") for name, count in counts.items() if count > 1]
    if twice:
        raise Invalid(*twice)
    try:
        return model.model_validate(request().args)
    except ValidationError as exc:
        raise drafts.invalid(exc) from exc
