"""GRIP, the proxy's protocol: channel names, hold instructions, and its signature.

docs/protocol.md, "The hold", explains what is sent and why.
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

SIGNATURE_ISSUER = "pushpin"
SIGNATURES = 64  # that are remembered
AGAIN = 2  # seconds until the proxy asks for what it missed, while nobody can tell
HEARTBEAT = r'event: heartbeat\ndata: {"type":"heartbeat"}\n\n'  # in Pushpin's cstring format

LATE = 60  # seconds after its end that the repeat of a long poll may come

_WAIT_OF_LAST = re.compile(r"(w-[A-Za-z0-9_-]+)\s*;\s*last-id=([0-9a-f.]{1,25})-([0-9]{1,18})-([0-9a-f]{32})")
_POLLING_OF_LAST = re.compile(r"(?:^|,)\s*c-([0-9a-f-]{1,100})\s*;")
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
    """A channel that nothing is ever published to: its last id is what a long poll remembers of itself."""
    return "w-" + user_channel(user_id)[2:]


@dataclass(frozen=True, slots=True)
class Last:
    """What ``Grip-Last`` says: whose stream, which connection, and up to where it got."""

    user_id: str
    connection_id: str
    event: EventId


@dataclass(frozen=True, slots=True)
class Wait:
    """A long poll that is held: where it began, and when it ends (Unix time)."""

    since: EventId
    until: int


def parse_last(header: str, keys: Sequence[bytes]) -> Last | None:
    """Read ``Grip-Last``; ``None`` unless it names the two channels of one connection, and we had them held together.

    That it arrived proves nothing: the proxy strips ``Grip-Last`` from clients' requests, but not ``Grip_Last``, which
    several servers take for the same. So the connection's channel ends with a seal over user, connection and expiry.
    """
    found = {}
    for part in header.split(","):
        match = _CHANNEL_OF_LAST.fullmatch(part)
        if match is None:
            return None
        found[match[1][:2]] = (match[1][2:], match[2])
    if set(found) != {"u-", "c-"}:
        return None
    encoded, last_id = found["u-"]
    event = EventId.parse(last_id)
    try:
        user_id = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (Base64Error, ValueError):
        return None
    connection_id = found["c-"][0]
    if event is None or not seals.is_connection_of(user_id, connection_id, keys):
        return None
    return Last(user_id, connection_id, event)


def parse_wait(header: str, user_id: str, keys: Sequence[bytes]) -> Wait | None:
    """What ``Grip-Last`` reports of a long poll of this user that we had held before; ``None`` if it is no such.

    A server that takes ``Grip_Last`` for the same puts what the client sent beside what the proxy sent, in either
    order. So the first that we sealed counts, wherever it is.
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
    """The id of the connection that a long poll of this user, held before, is counted as."""
    found: list[str] = _POLLING_OF_LAST.findall(header)
    return next((one for one in found if seals.is_connection_of(user_id, one, keys)), None)


def _sealed_of_wait(user_id: str, wait: Wait) -> tuple[str, ...]:
    return "wait", user_id, str(wait.since), str(wait.until)


# --- holds ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Instructions:
    """What the proxy is to do with a response; by default nothing."""

    _headers: Mapping[str, str] = field(default_factory=dict)

    def headers(self, method: str) -> Mapping[str, str]:
        """The headers that tell the proxy so, on the response to a request of that method: to a GET, and no other.

        A response to HEAD would be held too. The proxy then writes events behind headers that have no body, and on a
        kept connection they are read as the response to the next request, which may be another user's.
        """
        return self._headers if method == "GET" else {}


NOTHING = Instructions()


def hold_stream(
    user_id: str, connection_id: str, head: EventId, *, next_path: str, keepalive: int, again: int
) -> Instructions:
    """Keep the response open, from ``head`` on.

    It sends a heartbeat after ``keepalive`` seconds of silence, and reads the stream again after ``again`` seconds.

    The connection's own channel makes ``Grip-Last`` unique, without which Pushpin would share the answer to one
    connection's recovery with another's (docs/pushpin.md, traps 2 and 3).
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
    """Leave a held response where it is, and ask again in ``AGAIN`` seconds.

    To be told of a failure instead would be worse than to be told nothing: the proxy then asks ever more slowly, ends
    the stream after half a minute, and may ask once more when it has succeeded already.
    """
    return hold_stream(
        last.user_id, last.connection_id, last.event, next_path=next_path, keepalive=keepalive, again=AGAIN
    )


def continue_at(next_path: str) -> Instructions:
    """Read the next page at once and append it."""
    return Instructions({"Grip-Link": f"<{next_path}>; rel=next"})


def hold_response(
    user_id: str, head: EventId, wait: Wait, timeout: int, key: bytes, connection_id: str | None = None
) -> Instructions:
    """Hold a long poll: ask again as soon as there is news, or send this body at the timeout.

    The channel of its connection tells the relay when it is gone, and ends it.

    It repeats the request unchanged, with ``Grip-Last``. There the user's own channel says what the proxy has seen,
    news that is to be answered with included; so what the poll waits for is kept beside it, sealed.
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
    """Raised rather than returned, so that it is not remembered."""


def is_signed(signature: str, settings: Settings) -> bool:
    """Whether a ``Grip-Sig`` is from a proxy that has our key."""
    return bool(signature) and any(_is_valid(signature, key, issuer) for key, issuer in _trusted(settings))


def _is_valid(signature: str, key: bytes, issuer: str | None) -> bool:
    try:
        return time.time() < _valid_until(signature, key, issuer)
    except InvalidSignature:
        return False


@lru_cache(SIGNATURES)
def _valid_until(signature: str, key: bytes, issuer: str | None) -> float:
    """When a signature ends (Unix time). Pushpin signs all requests of one second alike, so it is looked up mostly."""
    if not validate_sig(signature, key, issuer):
        raise InvalidSignature
    claims = orjson.loads(urlsafe_b64decode(signature.split(".")[1] + "=="))
    return float(claims["exp"])


def is_signed_with(signature: str, sig_key: str) -> bool:
    """Whether a ``Grip-Sig`` is from a Pushpin that has this ``sig_key``."""
    return bool(signature) and _is_valid(signature, key_bytes(sig_key), SIGNATURE_ISSUER)


@cache
def sealing_keys(settings: Settings) -> tuple[bytes, ...]:
    """The keys that what comes back from a proxy may be sealed with; we seal with the first."""
    return tuple(key for key, _ in _trusted(settings))


@cache
def _trusted(settings: Settings) -> list[tuple[bytes, str | None]]:
    """The keys that a proxy may sign with, each with the issuer that it must name (``None``: any)."""
    keys: list[tuple[bytes, str | None]] = [(key_bytes(settings.pushpin_sig_key), SIGNATURE_ISSUER)]
    for url in settings.grip_url:
        node = parse_grip_uri(url)
        if "verify_key" in node:
            keys.append((node["verify_key"], node.get("verify_iss")))
    return keys
