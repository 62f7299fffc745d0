"""Seals: what proves that something which comes back from the proxy is what we handed to it.

A seal is a MAC by the key that we share with the proxy. No client ever sees one: seals travel in ``Grip-`` headers,
which the proxy takes off.
"""

import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

LENGTH = 32  # hexadecimal digits, 128 bits

_LATEST = 2**33  # Unix time in 2242; a token may name any number
_CONNECTION = re.compile(r"([0-9a-f]{16}-([0-9a-f]{1,9}))-([0-9a-f]{32})")


def seal(key: bytes, *parts: str) -> str:
    """The seal of these parts; none of them may hold a NUL, the first is what they are for."""
    return hmac.digest(key, b"shirase.seal\0" + "\0".join(parts).encode(), "sha256").hex()[:LENGTH]


def is_sealed(sealed: str, keys: Sequence[bytes], *parts: str) -> bool:
    """Whether that is the seal of these parts, by any of the keys."""
    return any(hmac.compare_digest(sealed, seal(key, *parts)) for key in keys)


def new_connection_name(expires_at: int | None) -> str:
    """The name of a new connection: random, and when its token ends (Unix time), 0 if it has none that does."""
    return f"{secrets.token_hex(8)}-{min(max(expires_at or 0, 0), _LATEST):x}"


def connection_id(key: bytes, user_id: str, name: str) -> str:
    """The id of a user's connection, which we alone can make: its name, and a seal over both."""
    return f"{name}-{seal(key, 'connection', user_id, name)}"


def is_connection_of(user_id: str, connection_id: str, keys: Sequence[bytes]) -> bool:
    """Whether we made that id for a connection of this user."""
    match = _CONNECTION.fullmatch(connection_id)
    return match is not None and is_sealed(match[3], keys, "connection", user_id, match[1])


def connection_name(connection_id: str) -> str:
    """What users and logs may see of an id: all but the seal."""
    match = _CONNECTION.fullmatch(connection_id)
    return match[1] if match else ""


def connection_end(connection_id: str) -> datetime | None:
    """When the token of a connection ends, as its id tells."""
    match = _CONNECTION.fullmatch(connection_id)
    end = int(match[2], 16) if match else 0
    return datetime.fromtimestamp(end, UTC) if end else None
