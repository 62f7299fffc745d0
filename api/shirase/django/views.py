"""The service's operations as views of a Django site, for ``request.user``.

The service's own code writes the instructions to the proxy, since django-grip's lack ``mode=idle``, without which
heartbeats stop for good after a slow client.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.wsgi import WSGIRequest
from django.db import connections as django_connections
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse, UnreadablePostError
from django.urls import get_script_prefix
from django.views.decorators.csrf import csrf_exempt

from shirase.access import tokens
from shirase.django.apps import shirase
from shirase.errors import TooLarge, TooSlow
from shirase.web.arrival import StillArriving
from shirase.web.auth import with_topics
from shirase.web.blueprint import Endpoint
from shirase.web.bodies import LATE, too_large
from shirase.web.call import Call
from shirase.web.http import Headers, Request
from shirase.web.json_body import DISCARDED, MAX_BODY
from shirase.web.prefix import asgi_path, at_proxy, wsgi_path
from shirase.web.respond import respond

View = Callable[..., HttpResponse]


def view_of(methods: Mapping[str, Endpoint]) -> View:
    """A view for one path.

    ``ATOMIC_REQUESTS`` must not apply, since our transactions have to end before their events are published.
    No CSRF token is needed, because pages of other origins are refused by the headers that browsers send.
    ``LoginRequiredMiddleware`` must not redirect: the proxy has no session, and clients expect 401 in JSON.
    """
    depth = next(iter(methods.values())).path.count("/")

    def view(request: HttpRequest, **parameters: Any) -> HttpResponse:
        call = Call(
            shirase().services,
            _read_request(request, depth + sum(str(value).count("/") for value in parameters.values())),
            with_topics(_signed_in, _topics),
        )
        answer = respond(methods, call, parameters)
        # A middleware must not compress the beginning of a stream, since the proxy appends plain text.
        request.META.pop("HTTP_ACCEPT_ENCODING", None)
        kind, body = (StreamingHttpResponse, answer.parts) if answer.parts else (HttpResponse, answer.data)
        response = kind(body, status=answer.status, content_type=answer.content_type or "")
        if answer.content_type is None:
            del response["Content-Type"]
        for name, value in answer.headers.items():
            response[name] = value
        return response

    made: View = login_not_required(csrf_exempt(view))
    for alias in django_connections:
        made = non_atomic_requests(using=alias)(made)
    return made


def _signed_in(request: HttpRequest) -> str | None:
    if not request.user.is_authenticated:
        return None
    application = shirase()
    user = application.site.user_id(request.user)
    user_id = tokens.as_user_id(user)
    if user_id is None:
        raise TypeError(f"SHIRASE['USER_ID'] must give 1 to 255 characters without control characters, not {user!r}")
    return user_id


def _topics(request: HttpRequest) -> Iterable[str] | None:
    topics = shirase().site.topics
    return topics(request.user) if topics else None


def _read_request(request: HttpRequest, depth: int) -> Request:
    parts = request.path_info.split("/")
    mount = "/".join(parts[:-depth])
    root = get_script_prefix().rstrip("/")  # of FORCE_SCRIPT_NAME, or of the server
    return Request(
        method=request.method or "",
        path="/".join(["", *parts[-depth:]]),
        prefix=root + mount,
        proxy_prefix=at_proxy(_arrived(request), root, mount, request.path_info),
        host=request.get_host(),
        headers=Headers(request.headers.items()),
        query=tuple((name, value) for name, values in request.GET.lists() for value in values),
        cookies=request.COOKIES,
        body=lambda: _read_body(request),
        native=request,
    )


def _arrived(request: HttpRequest) -> str | None:
    """The path in the request line."""
    if isinstance(request, WSGIRequest):
        return wsgi_path(request.environ)
    return asgi_path(request.scope) if isinstance(request, ASGIRequest) else None


def _discard(request: HttpRequest, length: int) -> None:
    """Read and discard: closing with unread bytes resets the connection, which Pushpin reports as a 502."""
    remaining = min(length, DISCARDED)
    with suppress(StillArriving, UnreadablePostError):  # do not wait for a slow client
        while remaining and (part := request.read(min(remaining, 65_536))):
            remaining -= len(part)


def _read_body(request: HttpRequest) -> bytes:
    length = int(request.META.get("CONTENT_LENGTH") or 0)
    if length > MAX_BODY:
        _discard(request, length)
        raise too_large()
    try:
        raw: bytes = request.body
    except RequestDataTooBig as exc:
        raise TooLarge(str(exc)) from exc
    except UnreadablePostError as exc:
        raise TooSlow(LATE) from exc
    if len(raw) > MAX_BODY:
        raise too_large()
    return raw
