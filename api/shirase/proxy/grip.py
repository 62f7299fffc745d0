"""GRIP, the proxy's protocol: channel names, hold instructions, and its signature.

docs/protocol.md, "The hold", explains the headers.
"""

import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache

import orjson
from gripcontrol import Channel, create_grip_channel_header, parse_grip_uri, validate_sig

from shirase.keys import key_bytes
from shirase.proxy import seals
from shirase.settings import Settings
from shirase.types import EventId
from shirase.variables import EVERY_ADDRESS

SIGNATURE_ISSUER = "pushpin"
SIGNATURES = 64  # cached
AGAIN = 2  # seconds until the proxy retries a recovery that could not be answered
HEARTBEAT = r'event: heartbeat\ndata: {"type":"heartbeat"}\n\n'  # in Pushpin's cstring format

NODE = "Grip-Node"  # the header with the node's name, which the proxy strips from clients' requests
DRAIN = "Grip-Drain"  # the same, from a node that asks to be drained
_PURPOSE = {NODE: "node", DRAIN: "drain"}  # of a header's seal
LATE = 60  # seconds after the end of a long poll in which its repeated request is accepted

# A match begins with a value, not anywhere: a client's ``Grip_Last`` may have 8 KB, on servers that pass it on.
_WAIT_OF_LAST = re.compile(r"(?:^|,)\s*(w-[A-Za-z0-9_-]+)\s*;\s*last-id=([0-9a-f.]{1,25})-([0-9]{1,18})-([0-9a-f]{32})")
_POLLING_OF_LAST = re.compile(r"(?:^|,)\s*c-([0-9a-f-]{1,100})\s*;")
_NODE = re.compile(r"(?:^|,)\s*([^\s,]{1,255}) ([0-9a-f]{32})")
_CHANNEL_OF_LAST = re.compile(r"\s*([A-Za-z0-9_-]+)\s*;\s*last-id=([0-9a-f.]{1,25})\s*")


# --- channels ---------------------------------------------------------------------------------------------------


def user_channel(user_id: str) -> str:
    """The channel of a user's stream.

    Base64url, since ``create_grip_channel_header`` escapes nothing: a ``,`` or ``;`` in a name would subscribe to
    other channels. Distinct ids have distinct names, and the id can be read back.
    """
    return "u-" + urlsafe_b64encode(user_id.encode()).decode().rstrip("=")


def connection_channel(connection_id: str) -> str:
    """The channel of one held response."""
    return "c-" + connection_id


def _wait_channel(user_id: str) -> str:
    """A channel that nothing is ever published to: its last id carries the state of a long poll."""
    return "w-" + user_channel(user_id)[2:]


@dataclass(frozen=True, slots=True)
class Last:
    """The content of ``Grip-Last``: user, connection and last event."""

    user_id: str
    connection_id: str
    event: EventId


@dataclass(frozen=True, slots=True)
class Wait:
    """A held long poll: the event that it began after, and the Unix time of its end."""

    since: EventId
    until: int


def parse_last(header: str, keys: Sequence[bytes]) -> Last | None:
    """Parse ``Grip-Last``; ``None`` unless it has the two channels of one connection, sealed by us.

    The header alone proves nothing: the proxy strips ``Grip-Last`` from clients' requests, but not ``Grip_Last``, which
    several servers treat as equal. So the connection's channel ends with a seal over user, connection and expiry.
    """
    channels = {}
    for part in header.split(","):
        match = _CHANNEL_OF_LAST.fullmatch(part)
        if match is None:
            return None
        channels[match[1][:2]] = (match[1][2:], match[2])
    if set(channels) != {"u-", "c-"}:
        return None
    encoded, last_id = channels["u-"]
    event = EventId.parse(last_id)
    try:
        user_id = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (Base64Error, ValueError):
        return None
    connection_id = channels["c-"][0]
    if event is None or not seals.is_connection_of(user_id, connection_id, keys):
        return None
    return Last(user_id, connection_id, event)


def parse_wait(header: str, user_id: str, keys: Sequence[bytes]) -> Wait | None:
    """Parse the state of the user's held long poll from ``Grip-Last``; ``None`` if there is none, sealed by us.

    A server that treats ``Grip_Last`` as equal joins the client's value with the proxy's, in either order. So the first
    value with a valid seal counts, wherever it stands.
    """
    for channel, since, until, sealed in _WAIT_OF_LAST.findall(header):
        event = EventId.parse(since)
        if event is None or channel != _wait_channel(user_id) or int(until) + LATE < time.time():
            continue
        wait = Wait(event, int(until))
        if seals.is_sealed(sealed, keys, *_sealed_of_wait(user_id, wait)):
            return wait
    return None


def parse_polling(header: str, user_id: str, keys: Sequence[bytes]) -> str | None:
    """The connection id under which the user's held long poll is counted; ``None`` if there is none."""
    connection_ids: list[str] = _POLLING_OF_LAST.findall(header)
    return next(
        (connection_id for connection_id in connection_ids if seals.is_connection_of(user_id, connection_id, keys)),
        None,
    )


# --- nodes ------------------------------------------------------------------------------------------------------


def name_node(key: bytes, name: str, header: str = NODE) -> str:
    """The value of the header ``NODE`` or ``DRAIN`` with which a node names itself to the handlers."""
    return f"{name} {seals.seal(key, _PURPOSE[header], name)}"


@lru_cache(SIGNATURES)
def parse_node(value: str, keys: tuple[bytes, ...], header: str = NODE) -> str | None:
    """The node's name in ``NODE`` or ``DRAIN``; ``None`` if there is none, sealed by us for that header.

    The seal is why a client cannot name a node: the proxy strips ``Grip-Node`` but not ``Grip_Node`` from its request.
    """
    return next(
        (name for name, sealed in _NODE.findall(value) if seals.is_sealed(sealed, keys, _PURPOSE[header], name)),
        None,
    )


def _sealed_of_wait(user_id: str, wait: Wait) -> tuple[str, ...]:
    return "wait", user_id, str(wait.since), str(wait.until)


# --- holds ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Instructions:
    """Instructions to the proxy about a response; by default none."""

    _headers: Mapping[str, str] = field(default_factory=dict)

    def headers(self, method: str) -> Mapping[str, str]:
        """The headers of these instructions; none unless the request's method is GET.

        The proxy would hold a response to HEAD too, and write events after headers that may have no body. On a
        keep-alive connection they would be read as the response to the next request, which may be another user's.
        """
        return self._headers if method == "GET" else {}


NOTHING = Instructions()


def hold_stream(
    user_id: str, connection_id: str, head: EventId, *, next_path: str, keepalive: int, again: int
) -> Instructions:
    """Hold the response open, and send the events after ``head``.

    The proxy sends a heartbeat after ``keepalive`` seconds of silence, and reads the next link after ``again`` seconds.

    The connection's own channel makes ``Grip-Last`` unique. Otherwise Pushpin would share the response to one
    connection's recovery with others (docs/pushpin.md, traps 2 and 3).
    """
    channels = [
        Channel(user_channel(user_id), str(head)),
        Channel(connection_channel(connection_id), "0"),
    ]
    return Instructions(
        {
            "Grip-Hold": "stream",
            "Grip-Channel": create_grip_channel_header(channels),
            "Grip-Keep-Alive": f"{HEARTBEAT}; format=cstring; timeout={keepalive}; mode=idle",
            "Grip-Link": f"<{next_path}>; rel=next; timeout={again}",
        }
    )


def hold_on(last: Last, *, next_path: str, keepalive: int) -> Instructions:
    """Keep holding the response at its last event, and read the next link after ``AGAIN`` seconds.

    An error status would be worse: the proxy would retry at growing intervals, end the stream after half a minute, and
    might retry once more after a success.
    """
    return hold_stream(
        last.user_id, last.connection_id, last.event, next_path=next_path, keepalive=keepalive, again=AGAIN
    )


def continue_at(next_path: str) -> Instructions:
    """Have the proxy fetch the next page at once and append it."""
    return Instructions({"Grip-Link": f"<{next_path}>; rel=next"})


def hold_response(
    user_id: str, head: EventId, wait: Wait, timeout: int, key: bytes, connection_id: str | None = None
) -> Instructions:
    """Hold a long poll: repeat the request when an event is published, or send this body at the timeout.

    The connection's channel shows the relay that the client has left, and can end the poll.

    The proxy repeats the request unchanged, with ``Grip-Last``. The last id of the user's channel there may already be
    that of the event to return, so the poll's own cursor travels in another channel, sealed.
    """
    seal = seals.seal(key, *_sealed_of_wait(user_id, wait))
    channels = [
        Channel(user_channel(user_id), str(head)),
        Channel(_wait_channel(user_id), f"{wait.since}-{wait.until}-{seal}"),
        *([Channel(connection_channel(connection_id), "0")] if connection_id else []),
    ]
    return Instructions(
        {
            "Grip-Hold": "response",
            "Grip-Channel": create_grip_channel_header(channels),
            "Grip-Timeout": str(timeout),
        }
    )


class InvalidSignature(Exception):
    """Raised instead of returned, so that ``lru_cache`` does not keep it."""


def is_signed(signature: str, settings: Settings) -> bool:
    """Whether a ``Grip-Sig`` is valid and made with a key of our proxies."""
    return bool(signature) and any(_is_valid(signature, key, issuer) for key, issuer in _trusted(settings))


def _is_valid(signature: str, key: bytes, issuer: str | None) -> bool:
    try:
        return time.time() < _valid_until(signature, key, issuer)
    except InvalidSignature:
        return False


@lru_cache(SIGNATURES)
def _valid_until(signature: str, key: bytes, issuer: str | None) -> float:
    """The expiry of a valid signature (Unix time). Pushpin uses one signature a second, so most calls hit the cache."""
    if not validate_sig(signature, key, issuer):
        raise InvalidSignature
    claims = orjson.loads(urlsafe_b64decode(signature.split(".")[1] + "=="))
    return float(claims["exp"])


def is_signed_with(signature: str, sig_key: str) -> bool:
    """Whether a ``Grip-Sig`` is valid and made with this ``sig_key``."""
    return bool(signature) and _is_valid(signature, key_bytes(sig_key), SIGNATURE_ISSUER)


@cache
def sealing_keys(settings: Settings) -> tuple[bytes, ...]:
    """The keys that seals are checked with; new seals are made with the first."""
    return tuple(key for key, _ in _trusted(settings))


@cache
def _trusted(settings: Settings) -> list[tuple[bytes, str | None]]:
    """The keys that a proxy may sign with, each with the issuer that it requires (``None``: any)."""
    keys: list[tuple[bytes, str | None]] = [(key_bytes(settings.pushpin_sig_key), SIGNATURE_ISSUER)]
    for url in settings.grip_url:
        node = parse_grip_uri(url.removeprefix(EVERY_ADDRESS))
        if "verify_key" in node:
            keys.append((node["verify_key"], node.get("verify_iss")))
    return keys
