"""The stream, the long poll and the inbox inside a Starlette application, with its own sign-in.

    def signed_in(request):
        return request.session.get("user")

    app = Starlette(routes=[Mount("/inbox", routes=routes(settings, identify=signed_in))])

Each operation runs in a thread of a small pool of its own: neither the database nor a control port that hangs holds up
the event loop, and no operation takes a thread that the application's own code needs.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from inspect import isawaitable, iscoroutinefunction
from typing import Any

import anyio
from anyio import CapacityLimiter, to_thread
from starlette.convertors import IntegerConvertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from shirase.access import tokens
from shirase.access.tokens import Identity
from shirase.errors import ShiraseError, TooSlow
from shirase.inbox.services import Services, wire
from shirase.settings import Settings
from shirase.web import http
from shirase.web.auth import check_sign_in
from shirase.web.blueprint import Endpoint, by_path, with_braces
from shirase.web.bodies import LATE, too_large
from shirase.web.call import Call, HostSignIn
from shirase.web.json_body import DISCARDED, MAX_BODY
from shirase.web.operations import FOR_HOSTS, FOR_TOKENS
from shirase.web.prefix import asgi_path, at_proxy
from shirase.web.problems import HostRefusal
from shirase.web.respond import respond

Who = Identity | str | int | None
SignIn = Callable[[Request], Who | Awaitable[Who]]
Topics = Callable[[Request], Iterable[str] | Awaitable[Iterable[str] | None] | None]
Methods = Mapping[str, Endpoint]  # the endpoints of one path

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
WITHOUT_BODY = ("GET", "HEAD", "OPTIONS")
THREADS = 16  # as many as the database's pool has connections


class _Number(IntegerConvertor):
    """Python refuses to parse a number of thousands of digits, which would be a server error."""

    regex = "[0-9]{1,100}"


register_url_convertor("shirase_number", _Number())
TYPES = {"int": "shirase_number", "path": "path"}


def routes(settings: Settings, *, identify: SignIn | None = None, topics: Topics | None = None) -> list[Route]:
    """The routes, to mount below any prefix.

    Args:
        settings: the same as those of the proxy and the relay.
        identify: returns the user of a request, by the application's own sign-in: a function or a coroutine function
            of the request; without it, a token identifies the user as at the service.
        topics: which topics the signed-in user of a request has, by a function of the same kinds.
    """
    check_sign_in(settings, identify, topics)
    operations = Operations(settings)

    def route(path: str, methods: Methods) -> Route:
        async def answer(request: Request) -> Response:
            who = await settled(_who(identify, topics, request)) if identify else None
            return await operations.answer(methods, request, who)

        return Route(with_braces(path, TYPES), answer, methods=METHODS)

    endpoints = FOR_HOSTS if identify else FOR_TOKENS
    return [route(path, methods) for path, methods in by_path(endpoints).items()]


class Operations:
    """Answers requests in threads."""

    def __init__(self, settings: Settings) -> None:
        """Prepare, without connecting."""
        self._services: Services = wire(settings)
        self._threads = CapacityLimiter(THREADS)

    async def answer(self, methods: Methods, request: Request, identify: HostSignIn | None) -> Response:
        """Answer one request; ``identify`` must not wait for anything."""
        read = await self._read(request) if request.method not in WITHOUT_BODY else b""
        first = next(iter(methods.values()))
        own = {name: request.path_params[name] for name in first.parameters}  # the prefix may have others
        slashes = sum(str(value).count("/") for value in own.values())
        call = Call(self._services, _request(request, first.path.count("/") + slashes, read), identify)
        made = await to_thread.run_sync(respond, methods, call, own, limiter=self._threads)
        response: Response = (
            StreamingResponse(made.parts, made.status, made.headers)
            if made.parts
            else Response(made.data, made.status, made.headers)
        )
        if made.content_type is not None:
            response.headers["Content-Type"] = made.content_type  # as it is: Starlette would append a charset
        return response

    async def _read(self, request: Request) -> bytes | ShiraseError:
        """The body, or its error, which matters only if the operation takes a body."""
        parts: list[bytes] = []
        size = 0
        try:
            with anyio.fail_after(self._services.settings.request_timeout):
                async for part in request.stream():
                    size += len(part)
                    if size <= MAX_BODY:
                        parts.append(part)
                    elif size > DISCARDED:
                        break
        except (TimeoutError, ClientDisconnect):
            return TooSlow(LATE)
        return too_large() if size > MAX_BODY else b"".join(parts)


async def _who(identify: SignIn, topics: Topics | None, request: Request) -> Any:
    """The user that the host identifies by a request."""
    return await named(await called(identify, request), topics, request)


async def called(function: Callable[[Request], Any], request: Request) -> Any:
    """The result of a function or coroutine function of the host."""
    result = await (function(request) if iscoroutinefunction(function) else to_thread.run_sync(function, request))
    while isawaitable(result):  # of a function that returns a coroutine, such as a lambda
        result = await result
    return result


async def named(user: Any, topics: Topics | None, request: Request) -> Any:
    """The user that the host identified, with the topics that it names, which only reading requests need."""
    if topics is None or user is None or request.method != "GET":
        return user
    return tokens.name_topics(user, await called(topics, request))


async def settled(user: Awaitable[Any]) -> HostSignIn:
    """The result, or the error that was raised, until the operation asks for it."""
    try:
        who = await user
    except Exception as exc:  # noqa: BLE001 - it is raised again where it is answered
        return partial(_raise, refusal(exc))
    return lambda _: who


def refusal(error: Exception) -> Exception:
    """A refusal by the host's sign-in, as a problem document with its status and words."""
    if isinstance(error, HTTPException):
        return HostRefusal(error.status_code, str(error.detail), dict(error.headers or {}))
    return error


def _raise(error: Exception, _: Any) -> Who:
    raise error


def _request(asked: Request, depth: int, body: bytes | ShiraseError) -> http.Request:
    """The request for an operation that is ``depth`` segments below the host's prefix."""
    parts = asked.scope["path"].split("/")
    return http.Request(
        method=asked.method,
        path="/".join(["", *parts[-depth:]]),
        prefix="/".join(parts[:-depth]),
        proxy_prefix=_proxy_prefix(asked, depth),
        host=asked.headers.get("host", ""),
        headers=http.Headers(asked.headers.items()),
        query=tuple(asked.query_params.multi_items()),
        cookies=asked.cookies,
        body=lambda: _whole(body),
        native=asked,
    )


def _whole(body: bytes | ShiraseError) -> bytes:
    if isinstance(body, ShiraseError):
        raise body
    return body


def _proxy_prefix(asked: Request, depth: int) -> str:
    named_by_host = getattr(asked.scope.get("app"), "root_path", "")  # FastAPI(root_path=…) adds nothing to the path
    arrived = asked.scope["path"] if named_by_host else asgi_path(asked.scope)
    return at_proxy(None, "", "/".join(arrived.split("/")[:-depth]), "")
