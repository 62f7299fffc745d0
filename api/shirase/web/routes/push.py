"""Web Push: the service's key, and the caller's browsers."""

from shirase.access.rate_limits import CHANGES
from shirase.access.tokens import Identity
from shirase.inbox import push
from shirase.inbox.push import EndpointInput, SubscriptionInput
from shirase.web import bodies
from shirase.web.blueprint import Blueprint
from shirase.web.call import request, services
from shirase.web.http import Response
from shirase.web.operation import USER, Operation, json_answer, operation
from shirase.web.schemas.push import PushKeyView

blueprint = Blueprint("push", "/api/push")


@blueprint.get("/key")
@operation(
    Operation(
        "Get the key that browsers subscribe with",
        USER,
        {200: ("`applicationServerKey` of `pushManager.subscribe`", PushKeyView)},
        problems=(404,),
        description="404 if Web Push is not configured.",
    )
)
def push_key(caller: Identity) -> Response:  # noqa: ARG001 - any user may
    """The public half."""
    return json_answer({"public_key": push.public_key(services().settings)})


@blueprint.put("/subscriptions")
@operation(
    Operation(
        "Subscribe a browser to push messages",
        USER,
        {204: ("Subscribed: policies with `web_push` reach this browser", None)},
        body=SubscriptionInput,
        problems=(404, *bodies.PROBLEMS),
        rate=CHANGES,
        description="The body is `PushSubscription.toJSON()`. A user has at most 20 browsers; one more replaces the"
        " oldest. A browser belongs to the user who subscribed last with it.",
    )
)
def put_subscription(caller: Identity, body: SubscriptionInput) -> Response:
    """Store it."""
    wired = services()
    agent = str(request().headers.get("User-Agent", ""))
    push.subscribe(wired.settings, wired.database, caller.user_id, body, agent)
    return Response(status=204)


@blueprint.delete("/subscriptions")
@operation(
    Operation(
        "Unsubscribe a browser from push messages",
        USER,
        {204: ("The browser is not subscribed, whether it was before or not", None)},
        body=EndpointInput,
        problems=bodies.PROBLEMS,
        rate=CHANGES,
    )
)
def delete_subscription(caller: Identity, body: EndpointInput) -> Response:
    """Forget it, if it is the caller's."""
    push.unsubscribe(services().database, caller.user_id, body.endpoint)
    return Response(status=204)
