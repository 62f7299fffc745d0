"""Notifications over REST."""

import hashlib
import re
from collections.abc import Callable
from typing import Any

import orjson

from shirase.access.rate_limits import CREATES
from shirase.access.tokens import ADMIN, WRITE, Identity
from shirase.errors import FieldError, Invalid
from shirase.fields import rfc3339
from shirase.inbox import events, notifications
from shirase.inbox.notifications import Once
from shirase.types import Draft, Notification
from shirase.web import bodies
from shirase.web.blueprint import Blueprint
from shirase.web.call import request, services
from shirase.web.http import Response
from shirase.web.operation import USER, Header, Operation, json_answer, operation
from shirase.web.schemas import (
    BatchView,
    BroadcastView,
    MarkRead,
    NewBatch,
    NewBroadcast,
    NewNotification,
    NotificationView,
    PageQuery,
    PageView,
    TraceView,
    UnreadView,
    UpdatedView,
)

blueprint = Blueprint("notifications", "/api/notifications")

LONGEST_DEVICE = 200  # characters of a user agent that a trace keeps
KEY = re.compile(r"[\x20-\x7e]{1,255}")
IDEMPOTENCY = {
    "Idempotency-Key": Header(
        "Makes a repeat of the same body harmless: it is answered with 200, the first answer and"
        " `Idempotency-Replayed: true`, and creates and publishes nothing. 1 to 255 printable ASCII characters,"
        " kept for 24 hours at least.",
        f"^{KEY.pattern}$",
    )
}
REPEATED = "A repeat of an earlier request: its answer again"
CREATING = (403, 409, *bodies.PROBLEMS)


@blueprint.post("")
@operation(
    Operation(
        "Create a notification",
        WRITE,
        {201: ("Created", NotificationView), 200: (REPEATED, NotificationView)},
        body=NewNotification,
        headers=IDEMPOTENCY,
        problems=CREATING,
        rate=CREATES,
    )
)
def create(caller: Identity, body: NewNotification) -> Response:
    """Store one notification and tell every open stream of its user."""
    answer = _create(caller, [body.draft()], lambda created: events.notification_fields(created[0]))
    path = f"{request().prefix}/api/notifications/{orjson.loads(answer.data)['id']}"
    answer.headers["Location"] = f"{services().settings.public_url or ''}{path}"
    return answer


@blueprint.post("/batch")
@operation(
    Operation(
        "Create several notifications, all or nothing",
        WRITE,
        {201: ("Created, in the order given", BatchView), 200: (REPEATED, BatchView)},
        body=NewBatch,
        headers=IDEMPOTENCY,
        problems=CREATING,
        rate=CREATES,
    )
)
def create_batch(caller: Identity, body: NewBatch) -> Response:
    """Store up to 1,000 notifications in one transaction."""
    return _create(
        caller,
        body.drafts(),
        lambda created: {"notifications": [events.notification_fields(one) for one in created]},
    )


@blueprint.post("/broadcast")
@operation(
    Operation(
        "Create one notification for each of many users, all or nothing",
        WRITE,
        {201: ("Created", BroadcastView), 200: (REPEATED, BroadcastView)},
        body=NewBroadcast,
        headers=IDEMPOTENCY,
        problems=CREATING,
        rate=CREATES,
    )
)
def create_broadcast(caller: Identity, body: NewBroadcast) -> Response:
    """Store the same for up to 10,000 users; one who is named twice gets one."""
    return _create(caller, body.drafts(), lambda created: {"created": len(created)})


@blueprint.get("")
@operation(
    Operation(
        "List one's notifications, newest first",
        USER,
        {200: ("A page", PageView)},
        query=PageQuery,
        problems=(422,),
    )
)
def index(caller: Identity, query: PageQuery) -> Response:
    """One page, with the unread count."""
    shown, count, next_before = notifications.page(
        services().database,
        caller.user_id,
        limit=query.limit,
        before=query.before,
        unread=None if query.unread is None else query.unread == "true",
        type_=query.type,
    )
    found = [events.notification_fields(one) for one in shown]
    return json_answer({"notifications": found, "unread_count": count, "next_before": next_before})


@blueprint.get("/unread-count")
@operation(Operation("Count one's unread notifications", USER, {200: ("The count", UnreadView)}))
def unread_count(caller: Identity) -> Response:
    """The number for the badge."""
    return json_answer({"unread_count": notifications.unread_count(services().database, caller.user_id)})


@blueprint.post("/read")
@operation(
    Operation(
        "Mark some of one's notifications read",
        USER,
        {200: ("How many were not read before; ids of others are passed over", UpdatedView)},
        body=MarkRead,
        problems=bodies.PROBLEMS,
    )
)
def mark_read(caller: Identity, body: MarkRead) -> Response:
    """Mark some read, on all of the user's devices."""
    return _updated(caller, sorted(set(body.ids)))


@blueprint.post("/read-all")
@operation(
    Operation("Mark all of one's notifications read", USER, {200: ("How many were not read before", UpdatedView)})
)
def mark_all_read(caller: Identity) -> Response:
    """Mark all read, on all of the user's devices."""
    return _updated(caller, None)


@blueprint.get("/<int:number>")
@operation(
    Operation("Get one of one's notifications", USER, {200: ("It", NotificationView)}, problems=(404,)),
)
def show(caller: Identity, number: int) -> Response:
    """One notification; another user's is not found."""
    return json_answer(events.notification_fields(notifications.get(services().database, caller.user_id, number)))


@blueprint.get("/<int:number>/trace")
@operation(
    Operation(
        "Why a notification did not arrive",
        ADMIN,
        {200: ("What became of it, whoever's it is", TraceView)},
        problems=(404,),
        description="`published_at` is null while no node has accepted it: then it waits for the relay. `way` is who"
        " published it, `attempts` how often that tried, `nodes` the proxy's nodes that accepted it, `waiting_nodes`"
        " those that missed something of this user and have not been told yet, `connections` how many streams the user"
        " held then. `committed_at` is unknown if it was left to the relay. `read_by` is the user agent of the device.",
    )
)
def trace(caller: Identity, number: int) -> Response:  # noqa: ARG001 - every operation is told who calls
    """For operators: created, committed, published, read."""
    wired = services()
    found = notifications.trace(wired.database, wired.publisher, number)
    shown = {
        name: getattr(found, name)
        for name in ("id", "user_id", "type", "seq", "way", "attempts", "connections", "read_by")
    }
    moments = ("created_at", "expires_at", "committed_at", "published_at", "read_at")
    shown |= {name: rfc3339(at) if (at := getattr(found, name)) else None for name in moments}
    return json_answer({**shown, "nodes": found.nodes, "waiting_nodes": found.waiting})


@blueprint.delete("/<int:number>")
@operation(Operation("Delete one of one's notifications", USER, {204: ("Deleted", None)}, problems=(404,)))
def delete(caller: Identity, number: int) -> Response:
    """Remove one, on all of the user's devices."""
    wired = services()
    notifications.delete(wired.database, wired.publisher, caller.user_id, number)
    return Response(status=204)


def _create(caller: Identity, drafts: list[Draft], shape: Callable[[list[Notification]], Any]) -> Response:
    wired = services()
    body, replayed = notifications.create(
        wired.database,
        wired.publisher,
        drafts,
        once=_once(caller),
        batcher=wired.batcher,
        answer=lambda created: orjson.dumps(shape(created)).decode(),
    )
    if replayed:
        return json_answer(body, 200, Idempotency_Replayed="true")
    return json_answer(body, 201)


def _once(caller: Identity) -> Once | None:
    key = request().headers.get("Idempotency-Key")
    if key is None:
        return None
    if not KEY.fullmatch(key):
        raise Invalid(FieldError("Idempotency-Key", "must be 1 to 255 printable ASCII characters"))
    # The path is part of it: the same body means another thing elsewhere.
    fingerprint = hashlib.sha256(request().path.encode() + b"\n" + request().body()).hexdigest()
    return Once(caller.user_id, key, fingerprint)


def _updated(caller: Identity, ids: list[int] | None) -> Response:
    wired = services()
    device = "".join(filter(str.isprintable, request().headers.get("User-Agent", "")))[:LONGEST_DEVICE] or None
    updated, count = notifications.mark_read(wired.database, wired.publisher, caller.user_id, ids, device)
    return json_answer({"updated": updated, "unread_count": count})
