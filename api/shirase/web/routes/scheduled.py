"""A producer's scheduled notifications."""

from typing import Any

import orjson

from shirase.access.rate_limits import CREATES
from shirase.access.tokens import WRITE, Identity
from shirase.fields import rfc3339, to_json
from shirase.inbox import scheduled
from shirase.store.scheduled import Scheduled
from shirase.web.blueprint import Blueprint
from shirase.web.call import services
from shirase.web.http import Response
from shirase.web.operation import Operation, json_answer, operation
from shirase.web.schemas.notifications import ScheduledListView, ScheduledQuery

blueprint = Blueprint("scheduled", "/api/scheduled")


@blueprint.get("")
@operation(
    Operation(
        "List what one has scheduled",
        WRITE,
        {200: ("What is not sent yet, in the order of creation", ScheduledListView)},
        query=ScheduledQuery,
        problems=(422,),
    )
)
def scheduled_list(caller: Identity, query: ScheduledQuery) -> Response:
    """One page; ``next_after`` is ``after`` of the next."""
    rows = scheduled.of_owner(services().database, caller.user_id, query.limit + 1, query.after or 0)
    shown = rows[: query.limit]
    next_after = shown[-1].id if len(rows) > query.limit else None
    return json_answer(orjson.dumps({"scheduled": [_fields(row) for row in shown], "next_after": next_after}))


@blueprint.delete("/<int:number>")
@operation(
    Operation(
        "Cancel something that one has scheduled", WRITE, {204: ("Cancelled", None)}, problems=(404,), rate=CREATES
    ),
)
def cancel(caller: Identity, number: int) -> Response:
    """Delete a scheduled notification that has not been sent."""
    scheduled.cancel(services().database, caller.user_id, number)
    return Response(status=204)


def _fields(scheduled_: Scheduled) -> dict[str, Any]:
    draft = scheduled_.draft
    return {
        "scheduled_id": scheduled_.id,
        "send_at": rfc3339(scheduled_.send_at),
        "created_at": rfc3339(scheduled_.created_at),
        "user_id": draft.user_id or None,
        "topic": scheduled_.topic,
        "for_newcomers": scheduled_.for_newcomers,
        **to_json(draft.content),
        "fold": draft.fold,
        "quiet": draft.quiet,
    }
