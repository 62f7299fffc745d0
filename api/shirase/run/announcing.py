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


def lines(found: Announcement) -> list[str]:
    """The trace of an announcement, without its text."""
    shown = [
        f"announcement {found.id} for {found.topic}, {found.type}",
        f"created    {rfc3339(found.created_at)}",
        f"spread     {outcome(found)}",
    ]
    if found.expires_at:
        shown.append(f"expires    {rfc3339(found.expires_at)}")
    return [*shown, f"reached    {found.reached} users", f"read       by {found.read} of them"]
