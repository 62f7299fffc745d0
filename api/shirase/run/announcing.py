"""The progress of an announcement for ``shirase announce``, and its trace for ``shirase trace``."""

import time
from collections.abc import Callable

from shirase.client.client import Client
from shirase.client.protocol import Announcement
from shirase.fields import rfc3339

PAUSE = 0.3  # seconds between two checks


def follow(client: Client, made: Announcement, longest: float, show: Callable[[str], None]) -> Announcement:
    """Show the progress of an announcement until every connected user has it, or for this many seconds."""
    end = time.monotonic() + longest
    while True:
        state = client.announcement(made.id)
        show(f"announcement {state.id}: reached {state.reached} users, {state.waiting} connected ones to go")
        if not state.waiting or time.monotonic() >= end:
            return state
        time.sleep(PAUSE)


def outcome(state: Announcement) -> str:
    """The outcome, in one line."""
    if state.waiting:
        return f"{state.waiting} connected users wait for the relay: see `shirase doctor`"
    return "everyone who is connected has it; others get it when they look"


def lines(announcement: Announcement) -> list[str]:
    """The trace of an announcement, without its text."""
    shown = [
        f"announcement {announcement.id} for {announcement.topic}, {announcement.type}",
        f"created    {rfc3339(announcement.created_at)}",
        f"spread     {outcome(announcement)}",
    ]
    if announcement.expires_at:
        shown.append(f"expires    {rfc3339(announcement.expires_at)}")
    return [*shown, f"reached    {announcement.reached} users", f"read       by {announcement.read} of them"]
