"""Creating notifications, and tracing one."""

import hashlib
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import orjson
from pydantic import BaseModel

from shirase.access.rate_limits import CREATES
from shirase.access.tokens import ADMIN, WRITE, Identity
from shirase.errors import FieldError, Invalid
from shirase.fields import rfc3339
from shirase.inbox import events, notifications, scheduled
from shirase.inbox.drafts import NewBatch, NewBroadcast, NewNotification
from shirase.inbox.notifications import Once
from shirase.inbox.payloads import check_payloads
from shirase.types import UPDATED, Delivery, Draft, Stored, WebhookStep
from shirase.web import bodies
from shirase.web.blueprint import Blueprint
from shirase.web.call import request, services
from shirase.web.http import Response
from shirase.web.operation import Header, Operation, json_answer, operation
from shirase.web.schemas.notifications import (
    BatchView,
    BroadcastView,
    NotificationView,
    ScheduledView,
    StoredView,
    TraceView,
)

blueprint = Blueprint("notifications", "/api/notifications")

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
ANSWERS: Mapping[int, tuple[str, type[BaseModel]]] = {
    201: ("Created", NotificationView),
    200: (
        (
            "It replaces the user's present one of its key, or its user has muted it and nothing was stored; or a"
            " repeat of an earlier request: its answer again"
        ),
        StoredView,
    ),
    202: ("Kept until `send_at`", ScheduledView),
}


@blueprint.post("")
@operation(
    Operation(
        "Create a notification",
        WRITE,
        ANSWERS,
        body=NewNotification,
        headers=IDEMPOTENCY,
        problems=CREATING,
        rate=CREATES,
    )
)
def create(caller: Identity, body: NewNotification) -> Response:
    """Store one notification and send it to every open stream of its user, at once or at ``send_at``."""
    return create_one(caller, body.draft(), body.send_at)


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
    return create_all(
        caller,
        body.drafts(),
        lambda made: {"notifications": [events.stored_fields(result) for result in made]},
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
    """Store the same for up to 10,000 users; a repeated user gets one."""
    return create_all(
        caller,
        body.drafts(),
        lambda made: {"created": sum(notification.notification is not None for notification in made)},
    )


@blueprint.get("/<int:number>/trace")
@operation(
    Operation(
        "Why a notification did not arrive",
        ADMIN,
        {200: ("The delivery record of any user's notification", TraceView)},
        problems=(404,),
        description="`published_at` is null while no node has accepted the event, which then waits for the relay."
        " `way` is `publish` if a handler published it, or `relay`; `attempts` counts the attempts. `nodes` are the"
        " proxy nodes that accepted it, and `waiting_nodes` those that missed events of this user and have not read the"
        " stream again. `connections` is the number of the user's open streams at that time. `committed_at` is null if"
        " the event was left to the relay. `read_by` is the user agent of the device, and `announcement_id` the"
        " announcement that became this notification. `deliveries` are those to channels outside the inbox, `omitted`"
        " the channels of the type's policy that have none, and `webhooks` its events in their queues: `done` is what"
        " left one, accepted or not needed any more.",
    )
)
def trace(caller: Identity, number: int) -> Response:  # noqa: ARG001 - every operation receives the caller
    """For operators: the times of create, commit, publish and read."""
    wired = services()
    trace = notifications.trace(wired.database, wired.publisher, number)
    shown = {
        name: getattr(trace, name)
        for name in ("id", "user_id", "type", "seq", "way", "attempts", "connections", "read_by", "announcement_id")
    }
    moments = ("created_at", "expires_at", "committed_at", "published_at", "read_at")
    shown |= {name: rfc3339(at) if (at := getattr(trace, name)) else None for name in moments}
    shown |= {"nodes": trace.nodes, "waiting_nodes": trace.waiting}
    shown |= {"deliveries": [_delivery_fields(delivery) for delivery in trace.deliveries]}
    reasons = {True: "muted", False: "not_planned"}
    shown |= {"omitted": [{"channel": channel, "reason": reasons[is_off]} for channel, is_off in trace.omitted]}
    return json_answer({**shown, "webhooks": [_webhook_fields(step) for step in trace.webhooks]})


def _delivery_fields(delivery: Delivery) -> dict[str, Any]:
    moments = ("created_at", "due_at", "tried_at", "ended_at")
    shown = {name: getattr(delivery, name) for name in ("channel", "state", "attempts", "reason")}
    shown |= {name: rfc3339(at) if (at := getattr(delivery, name)) else None for name in moments}
    return {"id": delivery.uid, **shown}


def _webhook_fields(step: WebhookStep) -> dict[str, Any]:
    return {
        "name": step.name,
        "event": "updated" if step.kind == UPDATED else "created",
        "happened_at": rfc3339(step.happened_at),
        "state": step.state,
        "id": step.uid,
        "attempts": step.attempts,
        "reason": step.reason,
        "next_attempt_at": rfc3339(step.next_at) if step.next_at else None,
    }


def create_all(
    caller: Identity, drafts: list[Draft], shape: Callable[[list[Stored]], Any], *, replaces: bool = False
) -> Response:
    """Store and publish; 201, or 200 if the notification of the key existed already."""
    wired = services()
    check_payloads(wired.settings.type_catalogue, drafts)
    is_new = True

    def answer(results: list[Stored]) -> str:
        nonlocal is_new
        is_new = not replaces or results[0].is_new
        return orjson.dumps(shape(results)).decode()

    body, replayed = notifications.create(
        wired.database, wired.publisher, drafts, once=once(caller), batcher=wired.batcher, answer=answer
    )
    if replayed:
        return json_answer(body, 200, Idempotency_Replayed="true")
    return json_answer(body, 201 if is_new else 200)


def create_one(caller: Identity, draft: Draft, send_at: datetime | None) -> Response:
    """Store and publish one notification, or schedule it."""
    if send_at:
        return schedule(caller, draft, send_at)
    answer = create_all(caller, [draft], lambda made: events.stored_fields(made[0]), replaces=True)
    locate(answer, "/api/notifications")
    return answer


def locate(answer: Response, root: str) -> None:
    """Add the ``Location`` of the created resource, if there is one."""
    if number := orjson.loads(answer.data).get("id"):
        path = f"{request().prefix}{root}/{number}"
        answer.headers["Location"] = f"{services().settings.public_url or ''}{path}"


def schedule(caller: Identity, draft: Draft, send_at: datetime, **announced: Any) -> Response:
    """Schedule a notification or an announcement."""
    check_payloads(services().settings.type_catalogue, [draft])
    number, replayed = scheduled.schedule(
        services().database, caller.user_id, draft, send_at, once(caller), **announced
    )
    answer = json_answer({"scheduled_id": int(number), "send_at": rfc3339(send_at)}, 202)
    if replayed:
        answer.headers["Idempotency-Replayed"] = "true"
    return answer


def once(caller: Identity) -> Once | None:
    """The idempotency key of this request; ``None`` without the header."""
    key = request().headers.get("Idempotency-Key")
    if key is None:
        return None
    if not KEY.fullmatch(key):
        raise Invalid(FieldError("Idempotency-Key", "must be 1 to 255 printable ASCII characters"))
    # With the path, since the same body has another meaning elsewhere.
    fingerprint = hashlib.sha256(request().path.encode() + b"\n" + request().body()).hexdigest()
    return Once(caller.user_id, key, fingerprint)
