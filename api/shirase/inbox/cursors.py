"""Cursors: how a client names the last event it has seen.

A cursor is ``STREAM-EVENT``. The first part is made of the database's own random name and the user's id, so that a
cursor of another database or another user is recognised as foreign and answered with ``reset`` instead of wrong events.
The second is the event's id (``EventId``), by whose random tag a log that went back in time is recognised.
Only letters, digits, ``-`` and ``.`` are used and it stays short: a ``Last-Event-ID`` over 128 bytes, or with ``<`` in
it, costs the browser a CORS preflight (WHATWG Fetch, CORS-unsafe request-header byte).
"""

import hashlib
from functools import lru_cache

from shirase.types import EventId


def encode(database_name: str, user_id: str, event: EventId) -> str:
    """The cursor of one event of one user."""
    return f"{_stream(database_name, user_id)}-{event}"


def unusable(database_name: str, user_id: str) -> str:
    """A cursor that stands for no place: whoever comes back with it is told to reset."""
    return f"{_stream(database_name, user_id)}-reset"


def decode(database_name: str, user_id: str, cursor: str) -> EventId | None:
    """The event that a cursor names, or ``None`` if it is not one of this user's in this database."""
    stream, _, event = cursor.partition("-")
    return EventId.parse(event) if stream == _stream(database_name, user_id) else None


def _stream(database_name: str, user_id: str) -> str:
    # Not a secret and no proof of anything: whoever forges one only harms their own replay.
    digest = _keyed(database_name).copy()
    digest.update(user_id.encode())
    return digest.hexdigest()


@lru_cache(8)
def _keyed(database_name: str) -> hashlib.blake2s:
    return hashlib.blake2s(key=database_name.encode(), digest_size=5)
