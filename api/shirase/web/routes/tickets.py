"""Tickets, for clients that can send credentials only in the URL."""

from shirase.access import tickets
from shirase.access.rate_limits import TICKETS
from shirase.access.tokens import Identity
from shirase.inbox import announcements
from shirase.web.blueprint import Blueprint
from shirase.web.call import services
from shirase.web.http import Response
from shirase.web.operation import USER, Operation, json_answer, operation
from shirase.web.schemas.streams import TicketView

blueprint = Blueprint("tickets")


@blueprint.post("/api/sse/tickets")
@operation(
    Operation(
        "Get a ticket for one stream",
        USER,
        {201: ("Made", TicketView)},
        rate=TICKETS,
        description="Opens one stream or begins one long poll of the caller's as `?ticket=`, once, within `expires_in`"
        " seconds, and nothing else. The stream ends when the token that requested the ticket expires.",
    )
)
def create_ticket(caller: Identity) -> Response:
    """A ticket for the caller."""
    wired = services()
    if caller.topics is not None:  # a ticket in a URL has no room for them
        announcements.arrive(wired.database, wired.publisher, caller.user_id, caller.topics)
    ticket = {"ticket": tickets.issue(wired.settings, caller), "expires_in": tickets.TTL}
    return json_answer(ticket, 201, Cache_Control="no-store")
