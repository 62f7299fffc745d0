"""Everything stored about a user: its export and its erasure.

A user's id may contain slashes, so the paths with an ending come first: some frameworks take the first that matches.
"""

from shirase.access.tokens import ADMIN, Identity, check_user_id
from shirase.inbox import users
from shirase.web.blueprint import Blueprint
from shirase.web.call import services
from shirase.web.http import Response
from shirase.web.operation import Operation, json_answer, operation
from shirase.web.schemas.users import ErasingView

blueprint = Blueprint("users", "/api/users")
LINES = "application/x-ndjson"


@blueprint.get("/<path:user_id>/export")
@operation(
    Operation(
        "Export everything stored about a user",
        ADMIN,
        {200: ("A line of JSON for each row, its `table` named; the last line is `end`", LINES)},
        problems=(422,),
        description="The first line names the user and the time. Without the last line, the export is incomplete.",
    )
)
def export_user(caller: Identity, user_id: str) -> Response:  # noqa: ARG001 - the operation requires its scope
    """Read it in pages, while it is sent."""
    lines = users.export_lines(services().database, _checked(user_id))
    return Response(content_type=LINES, parts=lines)


@blueprint.delete("/<path:user_id>")
@operation(
    Operation(
        "Erase a user",
        ADMIN,
        {
            202: ("There is more than one request can remove; the relay continues", ErasingView),
            204: ("Nothing of the user is stored any more, also if nothing was", None),
        },
        problems=(422,),
        description="Ends the user's streams and removes all their rows. Old cursors are reset."
        " A valid token or a new notification begins the user anew: stop both before.",
    )
)
def erase_user(caller: Identity, user_id: str) -> Response:  # noqa: ARG001 - the operation requires its scope
    """Remove it all, in steps."""
    wired = services()
    if users.erase(wired.database, wired.publisher, _checked(user_id)):
        return Response(status=204)
    return json_answer({"user_id": user_id, "status": "erasing"}, 202)


def _checked(user_id: str) -> str:
    check_user_id(user_id)
    return user_id
