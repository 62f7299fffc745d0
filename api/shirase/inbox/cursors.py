"""Cursors: how a client names the last event it has seen.

A cursor is ``TAG-SEQ``. The tag is made of the database's own random name and the user's id, so that a cursor of
another database or another user is recognised as foreign and answered with ``reset`` instead of wrong events.
Only letters, digits and ``-`` are used and it stays short: a ``Last-Event-ID`` over 128 bytes, or with ``<`` in it,
costs the browser a CORS preflight (WHATWG Fetch, CORS-unsafe request-header byte).
"""

import hashlib
import re
from functools import lru_cache

START = 0  # the seq before a stream's first event
_CURSOR = re.compile(r"([0-9a-f]{10})-([0-9]{1,18})")


def encode(database_name: str, user_id: str, seq: int) -> str:
    """The cursor of one event of one user."""
    return f"{_tag(database_name, user_id)}-{seq}"


def unusable(database_name: str, user_id: str) -> str:
    """A cursor that stands for no place: whoever comes back with it is told to reset."""
    return f"{_tag(database_name, user_id)}-reset"


def decode(database_name: str, user_id: str, cursor: str) -> int | None:
    """The seq that a cursor stands for, or ``None`` if it is not one of this user's in this database."""
    match = _CURSOR.fullmatch(cursor)
    if match is None or match[1] != _tag(database_name, user_id):
        return None
    return int(match[2])


def _tag(database_name: str, user_id: str) -> str:
    # Not a secret and no proof of anything: whoever forges one only harms their own replay.
    tag = _keyed(database_name).copy()
    tag.update(user_id.encode())
    return tag.hexdigest()


@lru_cache(8)
def _keyed(database_name: str) -> hashlib.blake2s:
    return hashlib.blake2s(key=database_name.encode(), digest_size=5)
