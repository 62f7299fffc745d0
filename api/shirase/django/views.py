"""The stream and the inbox of ``request.user``: the service's own answers, from a Django site.

Who the proxy is, django-grip's middleware says (``request.grip.signed``). What the proxy is to do, we say ourselves: in
what it writes, heartbeats lack ``mode=idle``, without which they stop for good after a slow client.
"""

import logging
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar

import orjson
from django.core.exceptions import RequestDataTooBig
from django.db import connections as django_connections
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.csrf import csrf_exempt
from pydantic import BaseModel, ValidationError

from shirase.access import tokens
from shirase.access.rate_limits import CONNECTS
from shirase.django.apps import ShiraseConfig, shirase
from shirase.errors import (
    Forbidden,
    ProxyRequired,
    RateLimited,
    ShiraseError,
    TooLarge,
    Unauthenticated,
    UnsupportedMedia,
)
from shirase.inbox import connections, events, notifications, streams
from shirase.inbox.drafts import invalid
from shirase.proxy import grip
from shirase.web import problems
from shirase.web.json_body import MAX_BODY, check_json
from shirase.web.schemas import MarkRead, PageQuery, PollQuery, StreamQuery
from shirase.web.site_check import refuse_other_sites

log = logging.getLogger(__name__)

View = Callable[..., HttpResponse]
Model = TypeVar("Model", bound=BaseModel)
NOT_THE_PROXY = "this address is for the proxy alone"


def answers(*methods: str) -> Callable[[View], View]:
    """A view for these methods, whose errors are problem documents.

    Our transactions end before anything is published, so ``ATOMIC_REQUESTS`` must not put another one around them.
    Pages of other sites are refused as the service refuses them, by what browsers say of them: no token is needed.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def wrapper(request: HttpRequest, **path: Any) -> HttpResponse:
            if request.method not in methods:
                answer = _problem(HTTPStatus.METHOD_NOT_ALLOWED, f"{request.method} is not for this address")
                answer["Allow"] = ", ".join(methods)
                return answer
            try:
                return view(request, shirase(), **path)
            except ShiraseError as exc:
                return _answer_error(exc)

        made: View = csrf_exempt(wrapper)
        for alias in django_connections:
            made = non_atomic_requests(using=alias)(made)
        return made

    return decorate


@answers("GET")
def stream(request: HttpRequest, app: ShiraseConfig) -> HttpResponse:
    """``connected``, what was missed, then events as they happen."""
    user_id = _user_id(request, app)
    _require_proxy(request)
    _count(app, user_id)
    query = _query(request, StreamQuery)
    cursor = request.headers.get("Last-Event-ID") or query.last_event_id
    address = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()  # what the proxy itself saw
    connection = connections.new(user_id, None, request.headers.get("User-Agent", ""), address)
    answer = streams.open_stream(
        app.database, app.publisher, app.site.settings, connection, cursor, next_path=_next_path(request)
    )
    return _stream(request, answer)


@answers("GET")
def recover(request: HttpRequest, app: ShiraseConfig) -> HttpResponse:
    """What the proxy missed. A client's own Grip-Last is stripped by the proxy, so one that arrives is genuine."""
    last = grip.parse_last(request.headers.get("Grip-Last", ""))
    if not request.grip.signed or last is None:
        raise Forbidden(NOT_THE_PROXY)
    answer = streams.recover(app.database, app.site.settings, last, next_path=_next_path(request))
    return _stream(request, answer)


@answers("GET")
def continue_stream(request: HttpRequest, app: ShiraseConfig, sealed: str) -> HttpResponse:
    """The next page of what was missed. Its name was sealed by us and told to the proxy alone."""
    if not request.grip.signed:
        raise Forbidden(NOT_THE_PROXY)
    answer = streams.continue_stream(
        app.database, app.publisher, app.site.settings, sealed, next_path=_next_path(request)
    )
    if answer is None:
        raise Forbidden(NOT_THE_PROXY)
    return _stream(request, answer)


@answers("GET")
def poll(request: HttpRequest, app: ShiraseConfig) -> HttpResponse:
    """The fallback where a middlebox swallows streams; the proxy holds it, no worker waits."""
    user_id = _user_id(request, app)
    _require_proxy(request)
    held = grip.parse_wait(request.headers.get("Grip-Last", ""), user_id)
    if held is None:  # else the proxy repeats what was counted when it began
        _count(app, user_id)
    query = _query(request, PollQuery)
    answer = streams.poll(app.database, app.site.settings, user_id, query.after, query.timeout, held)
    return _with_headers(request, _json(answer.body), answer)


@answers("GET")
def status(request: HttpRequest, app: ShiraseConfig) -> HttpResponse:
    """How many streams the user has open."""
    found = connections.status(app.database, _user_id(request, app), with_totals=False)
    return _json(
        {
            "user_connections": found.of_user,
            "total_connections": None,
            "active_users": None,
            "status": "active" if found.of_user else "inactive",
        }
    )


@answers("GET")
def index(request: HttpRequest, app: ShiraseConfig) -> HttpResponse:
    """One page of the user's list, with the unread count."""
    user_id = _user_id(request, app)
    query = _query(request, PageQuery)
    shown, count, next_before = notifications.page(
        app.database,
        user_id,
        limit=query.limit,
        before=query.before,
        unread=None if query.unread is None else query.unread == "true",
        type_=query.type,
    )
    found = [events.notification_fields(each) for each in shown]
    return _json({"notifications": found, "unread_count": count, "next_before": next_before})


@answers("GET")
def unread_count(request: HttpRequest, app: ShiraseConfig) -> HttpResponse:
    """The number for the badge."""
    return _json({"unread_count": notifications.unread_count(app.database, _user_id(request, app))})


@answers("POST")
def read(request: HttpRequest, app: ShiraseConfig) -> HttpResponse:
    """Mark some read, on all of the user's devices."""
    user_id = _user_id(request, app)
    return _updated(app, user_id, sorted(set(_body(request, MarkRead).ids)))


@answers("POST")
def read_all(request: HttpRequest, app: ShiraseConfig) -> HttpResponse:
    """Mark all read, on all of the user's devices."""
    return _updated(app, _user_id(request, app), None)


@answers("GET", "DELETE")
def one(request: HttpRequest, app: ShiraseConfig, number: int) -> HttpResponse:
    """One of the user's notifications, or its removal."""
    user_id = _user_id(request, app)
    if request.method == "DELETE":
        notifications.delete(app.database, app.publisher, user_id, number)
        return HttpResponse(status=HTTPStatus.NO_CONTENT)
    return _json(events.notification_fields(notifications.get(app.database, user_id, number)))


def _user_id(request: HttpRequest, app: ShiraseConfig) -> str:
    origin, where = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    refuse_other_sites(origin, where, request.get_host(), app.site.settings)
    if not request.user.is_authenticated:
        raise Unauthenticated("nobody has signed in")
    found = app.site.user_id(request.user)
    if not (isinstance(found, str) and tokens.is_user_id(found)):
        raise TypeError(f"SHIRASE['USER_ID'] must give 1 to 255 characters without control characters, not {found!r}")
    return found


def _require_proxy(request: HttpRequest) -> None:
    if not request.grip.signed:
        raise ProxyRequired(
            "a stream is held by the Pushpin proxy: ask its address, not the site's own; if you did, the key in"
            " GRIP_URL differs from the proxy's sig_key"
        )


def _count(app: ShiraseConfig, user_id: str) -> None:
    usage = app.rate_limits.count(CONNECTS, user_id)
    if usage and usage.is_over:
        raise RateLimited(usage.reset)


def _next_path(request: HttpRequest) -> str:
    """Where ``recover`` is, as the proxy asks for it."""
    path: str = reverse("shirase:next", current_app=request.resolver_match.namespace)
    return path


def _query(request: HttpRequest, model: type[Model]) -> Model:
    try:
        return model.model_validate(request.GET.dict())
    except ValidationError as exc:
        raise invalid(exc) from exc


def _body(request: HttpRequest, model: type[Model]) -> Model:
    if request.content_type != "application/json":
        raise UnsupportedMedia("send the body as Content-Type: application/json")
    try:
        raw = request.body
    except RequestDataTooBig as exc:
        raise TooLarge(str(exc)) from exc
    if len(raw) > MAX_BODY:
        raise TooLarge(f"the body must have at most {MAX_BODY} bytes")
    check_json(raw)
    try:
        return model.model_validate_json(raw, strict=True)
    except ValidationError as exc:
        raise invalid(exc) from exc


def _updated(app: ShiraseConfig, user_id: str, ids: list[int] | None) -> HttpResponse:
    updated, count = notifications.mark_read(app.database, app.publisher, user_id, ids)
    return _json({"updated": updated, "unread_count": count})


def _json(value: Any) -> HttpResponse:
    body = value if isinstance(value, str | bytes) else orjson.dumps(value)
    return HttpResponse(body, content_type="application/json")


def _stream(request: HttpRequest, answer: streams.Answer) -> HttpResponse:
    response = _with_headers(request, HttpResponse(answer.body, content_type="text/event-stream"), answer)
    response["X-Accel-Buffering"] = "no"  # nginx in front of the proxy must pass each event at once
    return response


def _with_headers(request: HttpRequest, response: HttpResponse, answer: streams.Answer) -> HttpResponse:
    # Compressed by a middleware, the beginning would not fit to what the proxy appends.
    request.META.pop("HTTP_ACCEPT_ENCODING", None)
    for name, value in answer.headers.items():
        response[name] = value
    response["Cache-Control"] = "no-store"  # a shared cache would hand one user's stream to another
    return response


def _answer_error(error: ShiraseError) -> HttpResponse:
    answer = _problem(problems.status_of(error), str(error), errors=problems.fields_of(error))
    if answer.status_code in problems.SOON:
        answer["Retry-After"] = str(getattr(error, "retry_after", 1))
    return answer


def _problem(status_code: int, detail: str, **more: Any) -> HttpResponse:
    body = problems.document(status_code, detail, **more)
    return HttpResponse(body, status=status_code, content_type=problems.CONTENT_TYPE)
