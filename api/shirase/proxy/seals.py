"""Seals: MACs which prove that a value in a request from the proxy is one that we sent to it.

The key is the one that we share with the proxy. Clients never see a seal: seals travel in ``Grip-`` headers, which the
proxy removes.
"""

import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime

LENGTH = 32  # hexadecimal digits, 128 bits

_LATEST = 2**33  # Unix time in 2242; a token may contain any number
_CONNECTION = re.compile(r"([0-9a-f]{16}-([0-9a-f]{1,9}))-([0-9a-f]{32})")


def seal(key: bytes, *parts: str) -> str:
    """Seal these parts. No part may contain a NUL; the first names their purpose."""
    return hmac.digest(key, b"shirase.seal\0" + "\0".join(parts).encode(), "sha256").hex()[:LENGTH]


def is_sealed(sealed: str, keys: Sequence[bytes], *parts: str) -> bool:
    """Whether ``sealed`` is the seal of these parts with one of the keys."""
    return any(hmac.compare_digest(sealed, seal(key, *parts)) for key in keys)


def new_connection_name(expires_at: int | None) -> str:
    """The name of a new connection: random, with its token's expiry (Unix time; 0 if it does not expire)."""
    return f"{secrets.token_hex(8)}-{min(max(expires_at or 0, 0), _LATEST):x}"


def connection_id(key: bytes, user_id: str, name: str) -> str:
    """The id of a user's connection: its name, and a seal over user and name, which makes it unforgeable."""
    return f"{name}-{seal(key, 'connection', user_id, name)}"


def is_connection_of(user_id: str, connection_id: str, keys: Sequence[bytes]) -> bool:
    """Whether the id is of a connection of this user, with a valid seal."""
    match = _CONNECTION.fullmatch(connection_id)
    return match is not None and is_sealed(match[3], keys, "connection", user_id, match[1])


def connection_name(connection_id: str) -> str:
    """The part of an id that users and logs may see: without the seal; empty if it is no id."""
    match = _CONNECTION.fullmatch(connection_id)
    return match[1] if match else ""


def connection_end(connection_id: str) -> datetime | None:
    """The expiry of a connection's token, read from its id; ``None`` if it does not expire."""
    match = _CONNECTION.fullmatch(connection_id)
    end = int(match[2], 16) if match else 0
    return datetime.fromtimestamp(end, UTC) if end else None
