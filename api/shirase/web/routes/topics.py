"""Topics: who is a member."""

from shirase.access.rate_limits import CREATES
from shirase.access.tokens import WRITE, Identity
from shirase.inbox import announcements
from shirase.inbox.drafts import MemberChange, check_topic
from shirase.web import bodies
from shirase.web.blueprint import Blueprint
from shirase.web.call import services
from shirase.web.http import Response
from shirase.web.operation import Operation, json_answer, operation
from shirase.web.schemas.announcements import MembersChangedView, MembersQuery, MembersView

blueprint = Blueprint("topics", "/api/topics")


@blueprint.post("/<topic>/members")
@operation(
    Operation(
        "Add and remove members of a topic",
        WRITE,
        {200: ("How many were not members, and how many were", MembersChangedView)},
        body=MemberChange,
        problems=bodies.PROBLEMS,
        rate=CREATES,
        description="At most 10,000 users in all. A new member gets what is announced from then on.",
    )
)
def change_members(caller: Identity, body: MemberChange, topic: str) -> Response:  # noqa: ARG001 - the scope is what matters
    """Change them, all or nothing."""
    added, removed = announcements.change_members(
        services().database, check_topic(topic), set(body.add), set(body.remove)
    )
    return json_answer({"added": added, "removed": removed})


@blueprint.get("/<topic>/members")
@operation(
    Operation(
        "List the members of a topic",
        WRITE,
        {200: ("A page; `next_after` is the `after` of the next", MembersView)},
        query=MembersQuery,
        problems=(422,),
        description="Users who have the topic by their token alone are not listed.",
    )
)
def members(caller: Identity, query: MembersQuery, topic: str) -> Response:  # noqa: ARG001 - the scope is what matters
    """One page, in the order of ids."""
    shown, next_after = announcements.members(services().database, check_topic(topic), query.limit, query.after or "")
    return json_answer({"members": shown, "next_after": next_after})


@blueprint.delete("/<topic>")
@operation(
    Operation(
        "Delete a topic",
        WRITE,
        {204: ("It has no members any more", None)},
        problems=(422,),
        rate=CREATES,
        description="Notifications of earlier announcements stay. Users who have the topic by their token keep it.",
    )
)
def delete_topic(caller: Identity, topic: str) -> Response:  # noqa: ARG001 - the scope is what matters
    """Remove every member."""
    announcements.delete_topic(services().database, check_topic(topic))
    return Response(status=204)
