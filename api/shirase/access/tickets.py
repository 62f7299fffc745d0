"""Tickets: permission to open one stream, for clients that can send credentials only in the URL.

URLs end up in histories and logs, where a ticket is worthless: it is valid for a minute, once, and only to read the
stream of one user.
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
LATEST = 2**33  # Unix time in 2242; a token may contain any number, and JSON at most 64 bits
KEPT = timedelta(seconds=TTL + 3 * LEEWAY)  # how long a used ticket is recorded: longer than any host accepts it


def issue(settings: Settings, caller: Identity) -> str:
    """Issue a ticket for the caller's own stream. It has no scopes, and expires with the token."""
    value = {
        "id": secrets.token_hex(16),
        "user": caller.user_id,
        "ends": int(time.time()) + TTL,
        "token_ends": None if caller.expires_at is None else min(caller.expires_at, LATEST),
    }
    return tokens.seal(settings, PURPOSE, value)


def redeem(
    database: Database, settings: Settings, ticket: str, *, is_repeat: Callable[[str], bool] = lambda _: False
) -> Identity:
    """Use a ticket, and return the identity that it was issued for.

    Args:
        database: where used tickets are recorded, for all workers and hosts.
        settings: with the key of the seal.
        ticket: as a client sent it.
        is_repeat: whether the request is the proxy's repeat of a long poll, which has used its ticket already.

    Raises:
        Unauthenticated: if it is forged, expired, or used.
        DatabaseUnavailable: if it is unknown whether it was used.
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
