"""The progress of an announcement, as ``shirase announce`` shows it, and what ``shirase trace`` says of one."""

import time
from collections.abc import Callable

from shirase.client.client import Client
from shirase.client.protocol import Announcement
from shirase.fields import rfc3339

PAUSE = 0.3  # seconds between two looks


def follow(client: Client, made: Announcement, longest: float, show: Callable[[str], None]) -> Announcement:
    """Show how far an announcement is, until everyone who is connected has it or this many seconds are over."""
    end = time.monotonic() + longest
    while True:
        found = client.announcement(made.id)
        show(f"announcement {found.id}: reached {found.reached} users, {found.waiting} connected ones to go")
        if not found.waiting or time.monotonic() >= end:
            return found
        time.sleep(PAUSE)


def outcome(found: Announcement) -> str:
    """What became of it, in one line."""
    if found.waiting:
        return f"{found.waiting} connected users wait for the relay: see `shirase doctor`"
    return "everyone who is connected has it; others get it when they look"


def lines(found: Announcement) -> list[str]:
    """The trace of an announcement; nothing of what it says."""
    shown = [
        f"announcement {found.id} for {found.topic}, {found.type}",
        f"created    {rfc3339(found.created_at)}",
        f"spread     {outcome(found)}",
    ]
    if found.expires_at:
        shown.append(f"expires    {rfc3339(found.expires_at)}")
    return [*shown, f"reached    {found.reached} users", f"read       by {found.read} of them"]
