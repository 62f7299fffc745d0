"""The service's operations as views of a Django site, for ``request.user``.

What the proxy is to do with an answer, the service's own code writes: in what django-grip writes, heartbeats lack
``mode=idle``, without which they stop for good after a slow client.
"""

from collections.abc import Callable, Mapping
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.db import connections as django_connections
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse, UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from shirase.access import tokens
from shirase.django.apps import shirase
from shirase.errors import TooLarge, TooSlow
from shirase.web.blueprint import Endpoint
from shirase.web.bodies import LATE, too_large
from shirase.web.call import Call
from shirase.web.http import Headers, Request
from shirase.web.json_body import MAX_BODY
from shirase.web.respond import respond

View = Callable[..., HttpResponse]


def view_of(methods: Mapping[str, Endpoint]) -> View:
    """A view for one path.

    Our transactions end before anything is published, so ``ATOMIC_REQUESTS`` must not put another one around them.
    Pages of other sites are refused as the service refuses them, by what browsers say of them: no token is needed.
    """
    depth = next(iter(methods.values())).path.count("/")

    def view(request: HttpRequest, **parameters: Any) -> HttpResponse:
        call = Call(shirase().services, _read_request(request, depth), _signed_in)
        answer = respond(methods, call, parameters)
        # Compressed by a middleware, the beginning of a stream would not fit to what the proxy appends.
        request.META.pop("HTTP_ACCEPT_ENCODING", None)
        response = HttpResponse(answer.data, status=answer.status, content_type=answer.content_type or "")
        if answer.content_type is None:
            del response["Content-Type"]
        for name, value in answer.headers.items():
            response[name] = value
        return response

    made: View = csrf_exempt(view)
    for alias in django_connections:
        made = non_atomic_requests(using=alias)(made)
    return made


def _signed_in(request: HttpRequest) -> str | None:
    if not request.user.is_authenticated:
        return None
    application = shirase()
    given = application.site.user_id(request.user)
    found = tokens.as_user_id(given)
    if found is None:
        raise TypeError(f"SHIRASE['USER_ID'] must give 1 to 255 characters without control characters, not {given!r}")
    return found


def _read_request(request: HttpRequest, depth: int) -> Request:
    parts = request.path.split("/")  # with what the site itself is mounted at
    prefix = "/".join(parts[:-depth])
    return Request(
        method=request.method or "",
        path="/".join(["", *parts[-depth:]]),
        prefix=prefix,
        proxy_prefix=prefix,
        host=request.get_host(),
        headers=Headers(request.headers.items()),
        query=tuple((name, value) for name, values in request.GET.lists() for value in values),
        cookies=request.COOKIES,
        body=lambda: _read_body(request),
        native=request,
    )


def _read_body(request: HttpRequest) -> bytes:
    try:
        raw: bytes = request.body
    except RequestDataTooBig as exc:
        raise TooLarge(str(exc)) from exc
    except UnreadablePostError as exc:
        raise TooSlow(LATE) from exc
    if len(raw) > MAX_BODY:
        raise too_large()
    return raw
