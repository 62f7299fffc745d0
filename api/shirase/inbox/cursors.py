"""Cursors: how a client names the last event it has seen.

A cursor is ``STREAM-EVENT``. The first part is derived from the database's random name and the user's id, so that a
cursor of another database or user is recognised, and answered with ``reset`` instead of wrong events. The second is the
event's id (``EventId``), whose random tag reveals a log that went back in time.
Only letters, digits, ``-`` and ``.`` are used and it stays short: a ``Last-Event-ID`` over 128 bytes, or with ``<`` in
it, costs the browser a CORS preflight (WHATWG Fetch, CORS-unsafe request-header byte).
"""

import hashlib
from functools import lru_cache

from shirase.types import EventId


def encode(database_name: str, user_id: str, event: EventId) -> str:
    """Return the cursor of a user's event."""
    return f"{_stream(database_name, user_id)}-{event}"


def unusable(database_name: str, user_id: str) -> str:
    """Return a cursor of no position: a client that returns with it is reset."""
    return f"{_stream(database_name, user_id)}-reset"


def decode(database_name: str, user_id: str, cursor: str) -> EventId | None:
    """Return the event of a cursor, or ``None`` if it is not this user's in this database."""
    stream, _, event = cursor.partition("-")
    return EventId.parse(event) if stream == _stream(database_name, user_id) else None


def _stream(database_name: str, user_id: str) -> str:
    # Not a secret: a forged cursor only affects its sender's own replay.
    digest = _keyed(database_name).copy()
    digest.update(user_id.encode())
    return digest.hexdigest()


@lru_cache(8)
def _keyed(database_name: str) -> hashlib.blake2s:
    return hashlib.blake2s(key=database_name.encode(), digest_size=5)
