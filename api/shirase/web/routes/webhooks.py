"""Webhooks: endpoints that get each notification."""

from typing import Any

from shirase.access.tokens import ADMIN, Identity
from shirase.fields import rfc3339
from shirase.inbox import webhooks
from shirase.inbox.drafts import check
from shirase.store.webhooks import Webhook
from shirase.web import bodies
from shirase.web.blueprint import Blueprint
from shirase.web.call import services
from shirase.web.http import Response
from shirase.web.operation import Operation, json_answer, operation
from shirase.web.schemas.webhooks import NewWebhook, RetryQuery, WebhookName, WebhooksView, WebhookView

blueprint = Blueprint("webhooks", "/api/webhooks")


@blueprint.get("")
@operation(
    Operation(
        "List the webhooks", ADMIN, {200: ("All webhooks with their states, without their secrets", WebhooksView)}
    )
)
def list_webhooks(caller: Identity) -> Response:  # noqa: ARG001 - the operation requires its scope
    """All of them."""
    return json_answer({"webhooks": [_fields(webhook) for webhook in webhooks.page(services().database)]})


@blueprint.put("/<name>")
@operation(
    Operation(
        "Create or change a webhook",
        ADMIN,
        {200: ("Changed", WebhookView), 201: ("Created", WebhookView)},
        body=NewWebhook,
        problems=bodies.PROBLEMS,
        description="The webhook gets notifications of these `types`, or of all if the list is empty, that are created"
        " or updated from then on. Without a `secret`, an existing webhook keeps its own, and a new one gets a random"
        " secret, which `shirase webhook secret` prints. For a day, requests are signed with a replaced secret too. A"
        " paused webhook is tried again.",
    )
)
def put_webhook(caller: Identity, body: NewWebhook, name: str) -> Response:  # noqa: ARG001 - the operation requires its scope
    """Store the endpoint."""
    wired = services()
    hosts = wired.settings.outbound_private_hosts
    types = list(dict.fromkeys(body.types))
    made, is_new = webhooks.put(wired.database, hosts, _checked(name), body.url, types, body.secret)
    return json_answer(_fields(made), 201 if is_new else 200)


@blueprint.delete("/<name>")
@operation(Operation("Delete a webhook", ADMIN, {204: ("Deleted, with its queue", None)}, problems=(404, 422)))
def delete_webhook(caller: Identity, name: str) -> Response:  # noqa: ARG001 - the operation requires its scope
    """Delete the endpoint and its queue."""
    webhooks.delete(services().database, _checked(name))
    return Response(status=204)


@blueprint.post("/<name>/retry")
@operation(
    Operation(
        "Try a webhook again",
        ADMIN,
        {200: ("The webhook, which is tried at once", WebhookView)},
        query=RetryQuery,
        problems=(404, 422),
        description="This resumes a paused webhook. With `skip=true`, the event that failed is dropped; if none has"
        " failed since the webhook was last changed or retried, the answer is 422 and nothing changes.",
    )
)
def retry_webhook(caller: Identity, query: RetryQuery, name: str) -> Response:  # noqa: ARG001 - the operation requires its scope
    """Clear the failures."""
    return json_answer(_fields(webhooks.retry(services().database, _checked(name), skip=query.skip == "true")))


def _checked(name: str) -> str:
    return str(check(WebhookName, {"name": name}).name)


def _fields(webhook: Webhook) -> dict[str, Any]:
    state = "paused" if webhook.paused_at else "failing" if webhook.failing_since else "active"
    times = {"created_at": webhook.created_at, "updated_at": webhook.updated_at, "failing_since": webhook.failing_since}
    times |= {"paused_at": webhook.paused_at, "next_attempt_at": webhook.next_at if state == "failing" else None}
    times |= {"rotating_until": webhook.previous_until}
    return {
        "name": webhook.name,
        "url": webhook.url,
        "types": list(webhook.types),
        "state": state,
        "waiting": webhook.waiting,
        "attempts": webhook.attempts,
        "reason": webhook.reason,
        **{name: rfc3339(value) if value else None for name, value in times.items()},
    }
