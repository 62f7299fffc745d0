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
        "Send push messages to a browser",
        USER,
        {204: ("It gets what the policies of types send to `web_push`", None)},
        body=SubscriptionInput,
        problems=(404, *bodies.PROBLEMS),
        rate=CHANGES,
        description="The body is `PushSubscription.toJSON()`. A user has at most 20; one more removes the oldest."
        " A browser that was another user's is the caller's from then on.",
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
        "Send no more to a browser",
        USER,
        {204: ("It gets nothing more, also if it got nothing", None)},
        body=EndpointInput,
        problems=bodies.PROBLEMS,
        rate=CHANGES,
    )
)
def delete_subscription(caller: Identity, body: EndpointInput) -> Response:
    """Forget it, if it is the caller's."""
    push.unsubscribe(services().database, caller.user_id, body.endpoint)
    return Response(status=204)
