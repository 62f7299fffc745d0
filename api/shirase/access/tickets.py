"""Tickets: permission to open one stream, for clients that can only say it in the address.

An address ends up in histories and logs. A ticket in it is worth nothing there: it holds for a minute, once, and for
nothing but reading the stream of one user.
"""

import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from shirase.access import tokens
from shirase.access.tokens import LEEWAY, Identity
from shirase.errors import Unauthenticated
from shirase.settings import Settings
from shirase.store import used_tickets
from shirase.store.database import Database

PURPOSE = "ticket"
TTL = 60  # seconds
KEPT = timedelta(seconds=TTL + 3 * LEEWAY)  # how long a used ticket is remembered: longer than any host takes it


def issue(settings: Settings, caller: Identity) -> str:
    """Make a ticket for the caller's own stream. It carries none of the caller's scopes, and ends with the token."""
    value = {
        "id": secrets.token_hex(16),
        "user": caller.user_id,
        "ends": int(time.time()) + TTL,
        "token_ends": caller.expires_at,
    }
    return tokens.seal(settings, PURPOSE, value)


def redeem(
    database: Database, settings: Settings, ticket: str, *, is_repeat: Callable[[str], bool] = lambda _: False
) -> Identity:
    """Use a ticket up, and say who it was for.

    Args:
        database: where used tickets are remembered, for all workers and hosts alike.
        settings: the key that it is sealed with.
        ticket: as a client sent it.
        is_repeat: whether the proxy repeats a long poll of that user, which used its ticket up when it began.

    Raises:
        Unauthenticated: if it is not ours, too old, or used.
        DatabaseUnavailable: if it cannot be known whether it was used.
    """
    value = tokens.unseal(settings, PURPOSE, ticket)
    if value is None:
        raise Unauthenticated("the ticket is not valid")
    caller = Identity(value["user"], expires_at=value["token_ends"])
    now = time.time()
    if caller.expires_at is not None and caller.expires_at + LEEWAY <= now:
        raise Unauthenticated("the token that the ticket was made with has expired")
    if is_repeat(caller.user_id):
        return caller
    if value["ends"] + LEEWAY <= now:
        raise Unauthenticated("the ticket has expired")
    with database.transaction() as db:
        first = used_tickets.add(db, value["id"], datetime.now(UTC))
    if not first:
        raise Unauthenticated("the ticket was used before")
    return caller
