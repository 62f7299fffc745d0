"""Announcements: one notification for everyone of a topic."""

import orjson

from shirase.access.rate_limits import CREATES
from shirase.access.tokens import WRITE, Identity
from shirase.inbox import announcements
from shirase.inbox.announcements import announcement_fields
from shirase.inbox.drafts import NewAnnouncement
from shirase.inbox.payloads import check_payloads
from shirase.web.blueprint import Blueprint
from shirase.web.call import services
from shirase.web.http import Response
from shirase.web.operation import Operation, json_answer, operation
from shirase.web.routes.notifications import CREATING, IDEMPOTENCY, REPEATED, locate, once, schedule
from shirase.web.schemas.announcements import (
    AnnouncementDetailView,
    AnnouncementsQuery,
    AnnouncementsView,
    AnnouncementView,
)
from shirase.web.schemas.notifications import ScheduledView

ROOT = "/api/announcements"

blueprint = Blueprint("announcements", ROOT)


@blueprint.post("")
@operation(
    Operation(
        "Announce something to everyone of a topic",
        WRITE,
        {
            201: ("Made", AnnouncementView),
            200: (REPEATED, AnnouncementView),
            202: ("Kept until `send_at`", ScheduledView),
        },
        body=NewAnnouncement,
        headers=IDEMPOTENCY,
        problems=CREATING,
        rate=CREATES,
        description="The answer comes at once, whatever the number of users. It becomes a notification of each user who"
        " is connected, connects, lists or counts; no other user has one. Users who first appear after it was made, or"
        " join the topic later, get it only with `for_newcomers`.",
    )
)
def announce(caller: Identity, body: NewAnnouncement) -> Response:
    """Store it once; the relay spreads it to connected users."""
    if body.send_at:
        return schedule(caller, body.draft(), body.send_at, topic=body.topic, for_newcomers=body.for_newcomers)
    draft = body.draft()
    check_payloads(services().settings.type_catalogue, [draft])
    made, replayed = announcements.announce(
        services().database,
        body.topic,
        draft,
        for_newcomers=body.for_newcomers,
        once=once(caller),
        answer=lambda announcement: orjson.dumps(announcement_fields(announcement)).decode(),
    )
    answer = json_answer(made, 200 if replayed else 201)
    if replayed:
        answer.headers["Idempotency-Replayed"] = "true"
    locate(answer, ROOT)
    return answer


@blueprint.get("")
@operation(
    Operation(
        "List announcements", WRITE, {200: ("A page", AnnouncementsView)}, query=AnnouncementsQuery, problems=(422,)
    )
)
def announcement_list(caller: Identity, query: AnnouncementsQuery) -> Response:  # noqa: ARG001 - the scope is what matters
    """One page, the latest first."""
    shown, next_before = announcements.page(services().database, query.limit, query.before)
    return json_answer(
        orjson.dumps(
            {
                "announcements": [announcement_fields(announcement) for announcement in shown],
                "next_before": next_before,
            }
        )
    )


@blueprint.get("/<int:number>")
@operation(Operation("Get an announcement", WRITE, {200: ("It", AnnouncementDetailView)}, problems=(404,)))
def announcement(caller: Identity, number: int) -> Response:  # noqa: ARG001 - the scope is what matters
    """One, with how many users it has reached."""
    announcement, waiting = announcements.find(services().database, number)
    return json_answer(orjson.dumps({**announcement_fields(announcement), "waiting": waiting}))


@blueprint.delete("/<int:number>")
@operation(
    Operation(
        "Delete an announcement",
        WRITE,
        {204: ("Nobody gets it any more, and it leaves the inboxes that have it", None)},
        problems=(404,),
        rate=CREATES,
        description="Where more than 10,000 users have it, the relay finishes in the background.",
    )
)
def delete_announcement(caller: Identity, number: int) -> Response:  # noqa: ARG001 - the scope is what matters
    """Remove it, on all devices."""
    wired = services()
    announcements.retract(wired.database, wired.publisher, number)
    return Response(status=204)
