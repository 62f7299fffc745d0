"""Notifications by their producer's key: replace, fold and retract."""

from shirase.access.rate_limits import CREATES
from shirase.access.tokens import WRITE, Identity
from shirase.inbox import retract
from shirase.inbox.drafts import NewKeyed, check_key
from shirase.web.blueprint import Blueprint
from shirase.web.call import services
from shirase.web.http import Response
from shirase.web.operation import Operation, operation
from shirase.web.routes.notifications import ANSWERS, CREATING, IDEMPOTENCY, create_one
from shirase.web.schemas.notifications import RetractQuery

blueprint = Blueprint("keyed", "/api/notifications/keys")


@blueprint.put("/<path:key>")
@operation(
    Operation(
        "Create or replace the notification of a key",
        WRITE,
        ANSWERS,
        body=NewKeyed,
        headers=IDEMPOTENCY,
        problems=CREATING,
        rate=CREATES,
        description="A replaced one keeps its `id`, has the next `revision`, is unread again and at the top of the"
        " list; with `quiet` it stays read and in its place. Nothing is sent if nothing changes. With `fold` the"
        " `count` of an unread one goes up by one, and `actors` keeps the latest three.",
    )
)
def put_keyed(caller: Identity, body: NewKeyed, key: str) -> Response:
    """Store the notification, and replace the user's present one of this key."""
    return create_one(caller, body.draft(check_key(key)), body.send_at)


@blueprint.delete("/<path:key>")
@operation(
    Operation(
        "Retract the notification of a key",
        WRITE,
        {204: ("It is gone, also if there was none", None)},
        query=RetractQuery,
        problems=(422,),
        rate=CREATES,
        description="Without `user_id`, from everyone who has one. Scheduled ones with the key are cancelled.",
    )
)
def retract_key(caller: Identity, query: RetractQuery, key: str) -> Response:  # noqa: ARG001 - the operation requires its scope
    """Remove the notification, on all devices."""
    wired = services()
    if query.user_id is None:
        retract.retract_from_everyone(wired.database, wired.publisher, check_key(key))
    else:
        retract.retract_from(wired.database, wired.publisher, check_key(key), query.user_id)
    return Response(status=204)
