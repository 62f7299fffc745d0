"""Connections: their numbers, and ending one user's streams."""

from shirase.access.tokens import ADMIN, Identity
from shirase.inbox import connections
from shirase.web.blueprint import Blueprint
from shirase.web.call import services
from shirase.web.http import Response
from shirase.web.operation import USER, Operation, json_answer, operation
from shirase.web.schemas.streams import ClosedView, ConnectionsQuery, StatusView

blueprint = Blueprint("connections")


@blueprint.get("/api/sse/status")
@operation(
    Operation(
        "Count streams",
        USER,
        {200: ("The caller's streams, and all", StatusView)},
        description=f"The totals need the scope `{ADMIN}` and are null without it.",
    )
)
def status(caller: Identity) -> Response:
    """The numbers of open streams in the registry."""
    status = connections.status(services().database, caller.user_id, with_totals=caller.may(ADMIN))
    return json_answer(
        {
            "user_connections": status.of_user,
            "total_connections": status.total,
            "active_users": status.users,
            "status": "active" if status.of_user else "inactive",
        }
    )


@blueprint.delete("/api/sse/connections")
@operation(
    Operation(
        "End a user's streams",
        ADMIN,
        {200: ("How many were ended", ClosedView)},
        query=ConnectionsQuery,
        problems=(422,),
        description="Each gets `closing` with the reason `revoked`. A token that is still valid opens a new one.",
    )
)
def revoke(caller: Identity, query: ConnectionsQuery) -> Response:  # noqa: ARG001 - the operation requires its scope
    """End the streams at once, on every node."""
    wired = services()
    return json_answer({"closed": connections.revoke(wired.database, wired.publisher, query.user_id)})
