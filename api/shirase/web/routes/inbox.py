"""The caller's notifications: list, counts and states."""

from collections.abc import Callable
from typing import Any

from shirase.access.rate_limits import CHANGES
from shirase.access.tokens import Identity
from shirase.inbox import announcements, events, inbox
from shirase.inbox.drafts import Request
from shirase.types import Position
from shirase.web import bodies
from shirase.web.blueprint import Blueprint
from shirase.web.call import request, services
from shirase.web.http import Response
from shirase.web.operation import USER, Operation, json_answer, operation
from shirase.web.schemas.notifications import (
    CountsView,
    NotificationView,
    PageQuery,
    PageView,
    SomeIds,
    UnreadView,
    UnseenView,
    UpdatedView,
)

blueprint = Blueprint("inbox", "/api/notifications")

LONGEST_DEVICE = 200  # characters of a user agent that are stored for traces


def _changing(summary: str, counted: str, body: type[Request] | None = None) -> Operation:
    answers = {200: (f"{counted}; ids of others are passed over" if body else counted, UpdatedView)}
    return Operation(summary, USER, answers, body=body, problems=bodies.PROBLEMS if body else (), rate=CHANGES)


@blueprint.get("")
@operation(
    Operation(
        "List your notifications, by the last change that moved each to the top",
        USER,
        {200: ("A page", PageView)},
        query=PageQuery,
        problems=(422,),
    )
)
def index(caller: Identity, query: PageQuery) -> Response:
    """One page, with the unread count and the cursor for a stream."""
    page = inbox.page(
        services().database,
        caller.user_id,
        limit=query.limit,
        before=query.before,
        at=_arrive(caller),
        unread=None if query.unread is None else query.unread == "true",
        type_=query.type,
        category=query.category,
        archived=query.archived == "true",
        words=query.q,
    )
    shown = [events.notification_fields(notification) for notification in page.notifications]
    return json_answer(
        {
            "notifications": shown,
            "unread_count": page.unread,
            "next_before": page.next_before,
            "cursor": page.cursor,
        }
    )


@blueprint.get("/unread-count")
@operation(Operation("Count your unread notifications", USER, {200: ("The count", UnreadView)}))
def unread_count(caller: Identity) -> Response:
    """The number for the badge."""
    return json_answer({"unread_count": inbox.unread_count(services().database, caller.user_id, _arrive(caller))})


@blueprint.get("/counts")
@operation(Operation("Count your unread and unseen notifications", USER, {200: ("The counts", CountsView)}))
def counts(caller: Identity) -> Response:
    """The numbers for badges and tabs."""
    counts = inbox.counts(services().database, caller.user_id, _arrive(caller))
    return json_answer(
        {"unread_count": counts.unread, "unseen_count": counts.unseen, "by_category": dict(counts.by_category)}
    )


@blueprint.post("/read")
@operation(_changing("Mark some of your notifications read", "How many were unread", SomeIds))
def mark_read(caller: Identity, body: SomeIds) -> Response:
    """Mark some as read, on all of the user's devices."""
    return _updated(inbox.mark_read, caller, body.distinct(), _device())


@blueprint.post("/read-all")
@operation(_changing("Mark all of your notifications read", "How many were unread"))
def mark_all_read(caller: Identity) -> Response:
    """Mark all as read, on all of the user's devices."""
    return _updated(inbox.mark_read, caller, None, _device())


@blueprint.post("/unread")
@operation(_changing("Mark some of your notifications unread again", "How many were read", SomeIds))
def mark_unread(caller: Identity, body: SomeIds) -> Response:
    """Mark some as unread, on all of the user's devices."""
    return _updated(inbox.mark_unread, caller, body.distinct())


@blueprint.post("/archive")
@operation(_changing("Archive some of your notifications", "How many were not archived", SomeIds))
def archive(caller: Identity, body: SomeIds) -> Response:
    """Remove some from list and counts, on all of the user's devices."""
    return _updated(inbox.archive, caller, body.distinct())


@blueprint.post("/archive-all")
@operation(_changing("Archive all of your notifications", "How many were not archived"))
def archive_all(caller: Identity) -> Response:
    """Remove all from list and counts, on all of the user's devices."""
    return _updated(inbox.archive, caller, None)


@blueprint.post("/unarchive")
@operation(_changing("Return some of your notifications from the archive", "How many were archived", SomeIds))
def unarchive(caller: Identity, body: SomeIds) -> Response:
    """Return some to their place in the list, on all of the user's devices."""
    return _updated(inbox.unarchive, caller, body.distinct())


@blueprint.post("/seen")
@operation(
    Operation("Count everything up to now as seen", USER, {200: ("No more are unseen", UnseenView)}, rate=CHANGES)
)
def mark_seen(caller: Identity) -> Response:
    """Clear the number on the bell, on all of the user's devices."""
    wired = services()
    inbox.mark_seen(wired.database, wired.publisher, caller.user_id)
    return json_answer({"unseen_count": 0})


@blueprint.get("/<int:number>")
@operation(
    Operation("Get one of your notifications", USER, {200: ("The notification", NotificationView)}, problems=(404,)),
)
def show(caller: Identity, number: int) -> Response:
    """One notification; 404 if it is another user's."""
    return json_answer(events.notification_fields(inbox.get(services().database, caller.user_id, number)))


@blueprint.delete("/<int:number>")
@operation(Operation("Delete one of your notifications", USER, {204: ("Deleted", None)}, problems=(404,), rate=CHANGES))
def delete(caller: Identity, number: int) -> Response:
    """Remove one, on all of the user's devices."""
    wired = services()
    inbox.delete(wired.database, wired.publisher, caller.user_id, number)
    return Response(status=204)


def _arrive(caller: Identity) -> Position:
    """Have the caller take over announcements; returns the position of the caller's log."""
    wired = services()
    return announcements.arrive(wired.database, wired.publisher, caller.user_id, caller.topics)


def _updated(change: Callable[..., inbox.Updated], caller: Identity, *arguments: Any) -> Response:
    wired = services()
    done = change(wired.database, wired.publisher, caller.user_id, *arguments)
    return json_answer({"updated": done.updated, "unread_count": done.unread})


def _device() -> str | None:
    return "".join(filter(str.isprintable, request().headers.get("User-Agent", "")))[:LONGEST_DEVICE] or None
