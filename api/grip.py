"""GRIP, the proxy's protocol: channel names, hold instructions, its signature, and its control port.

The only importer of ``gripcontrol``. What is sent and why is explained in ARCHITECTURE, "The hold".
"""

import logging
import random
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import orjson
from gripcontrol import Channel, GripPubControl, create_grip_channel_header, parse_grip_uri, validate_sig
from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter

from api import metrics
from api.settings import Settings
from api.verification_keys import key_bytes

log = logging.getLogger(__name__)

SIGNATURE_ISSUER = "pushpin"
SIGNATURES = 64  # that are remembered
MAX_POST = 900_000  # bytes; Pushpin resets a control connection whose body passes 1,000,000
FAILURES_UNTIL_SPARED = 3
AGAIN = 2  # seconds until the proxy asks for what it missed, while nobody can tell
SPARED = (0.5, 1.0)  # seconds; spread, so that not all workers try at the same instant
HEARTBEAT = r'event: heartbeat\ndata: {"type":"heartbeat"}\n\n'  # in Pushpin's cstring format

_WAIT_OF_LAST = re.compile(r"(w-[A-Za-z0-9_-]+)\s*;\s*last-id=([0-9]{1,18})\.([0-9]{1,18})")
_CHANNEL_OF_LAST = re.compile(r"\s*([A-Za-z0-9_-]+)\s*;\s*last-id=([0-9]{1,18})\s*")


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
    seq: int


@dataclass(frozen=True, slots=True)
class Wait:
    """A long poll that is held: where it began, and when it ends (Unix time)."""

    since: int  # seq
    until: int


def parse_last(header: str) -> Last | None:
    """Read ``Grip-Last``; ``None`` if it does not hold exactly the two channels of one connection."""
    found = {}
    for part in header.split(","):
        match = _CHANNEL_OF_LAST.fullmatch(part)
        if match is None:
            return None
        found[match[1][:2]] = (match[1][2:], int(match[2]))
    if set(found) != {"u-", "c-"}:
        return None
    encoded, seq = found["u-"]
    try:
        user_id = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    except (Base64Error, ValueError):
        return None
    return Last(user_id, found["c-"][0], seq)


def parse_wait(header: str, user_id: str) -> Wait | None:
    """What ``Grip-Last`` says of a long poll of this user that was held before; ``None`` if it was not."""
    match = _WAIT_OF_LAST.search(header)
    return Wait(int(match[2]), int(match[3])) if match and match[1] == _wait_channel(user_id) else None


# --- holds ------------------------------------------------------------------------------------------------------


def hold_stream(
    user_id: str, connection_id: str, head: int, *, next_path: str, keepalive: int, again: int
) -> dict[str, str]:
    """Headers that make the proxy keep the response open, from ``head`` on.

    It sends a heartbeat after ``keepalive`` seconds of silence, and reads the stream again after ``again`` seconds.

    The connection's own channel makes ``Grip-Last`` unique, without which Pushpin would share the answer to one
    connection's recovery with another's (pushpin.md, traps 2 and 3).
    """
    channels = [
        Channel(user_channel(user_id), str(head)),
        Channel(connection_channel(connection_id), "0"),
    ]
    return {
        "Grip-Hold": "stream",
        "Grip-Channel": create_grip_channel_header(channels),
        "Grip-Keep-Alive": f"{HEARTBEAT}; format=cstring; timeout={keepalive}; mode=idle",
        "Grip-Link": f"<{next_path}>; rel=next; timeout={again}",
    }


def hold_on(last: Last, *, next_path: str, keepalive: int) -> dict[str, str]:
    """Headers that leave a held response where it is, and have the proxy ask again in ``AGAIN`` seconds.

    To be told of a failure instead would be worse than to be told nothing: the proxy then asks ever more slowly, ends
    the stream after half a minute, and may ask once more when it has succeeded already.
    """
    return hold_stream(
        last.user_id, last.connection_id, last.seq, next_path=next_path, keepalive=keepalive, again=AGAIN
    )


def continue_at(next_path: str) -> dict[str, str]:
    """Headers that make the proxy read the next page at once and append it."""
    return {"Grip-Link": f"<{next_path}>; rel=next"}


def hold_response(user_id: str, head: int, wait: Wait, timeout: int) -> dict[str, str]:
    """Headers of a long poll: the proxy asks again as soon as there is news, or sends this body at the timeout.

    It repeats the request unchanged, with ``Grip-Last``. There the user's own channel says what the proxy has seen,
    news that is to be answered with included; so what the poll waits for is kept beside it.
    """
    channels = [
        Channel(user_channel(user_id), str(head)),
        Channel(_wait_channel(user_id), f"{wait.since}.{wait.until}"),
    ]
    return {
        "Grip-Hold": "response",
        "Grip-Channel": create_grip_channel_header(channels),
        "Grip-Timeout": str(timeout),
    }


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
def _trusted(settings: Settings) -> list[tuple[bytes, str | None]]:
    """The keys that a proxy may sign with, each with the issuer that it must name (``None``: any)."""
    keys: list[tuple[bytes, str | None]] = [(key_bytes(settings.pushpin_sig_key), SIGNATURE_ISSUER)]
    for url in settings.grip_url:
        node = parse_grip_uri(url)
        if "verify_key" in node:
            keys.append((node["verify_key"], node.get("verify_iss")))
    return keys


# --- publishing -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Item:
    """One event for one channel. The proxy passes it to whoever stands at ``seq - 1`` and has others read again."""

    channel: str
    seq: int
    content: str  # empty for a hint: whoever listens reads the log again
    close: bool = False  # end the streams that listen, instead


def closing_items(connection_id: str, content: str) -> list[Item]:
    """What ends one held stream: its last event, and behind that its end (pushpin.md, Publishing)."""
    channel = connection_channel(connection_id)
    return [Item(channel, 1, content), Item(channel, 2, "", close=True)]


class Publisher:
    """Sends items to every node's control port, in bounded time, and never raises.

    A node that failed several times in a row is left alone for a moment, so that a hung one does not cost every
    create its timeout; what it misses is remembered in the database, and the relay brings it.
    """

    def __init__(self, settings: Settings) -> None:
        """Prepare; connections are made with the first publish."""
        self._timeout = settings.publish_timeout
        share = self._timeout / len(settings.grip_url)
        self._nodes = {node.name: node for node in (_Node(url, share) for url in settings.grip_url)}

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of all nodes: their control addresses."""
        return tuple(self._nodes)

    def publish(self, items: Sequence[Item]) -> list[frozenset[str]]:
        """The nodes that accepted each item. Accepted does not mean delivered (pushpin.md, Publishing)."""
        accepted: list[frozenset[str]] = []
        deadline = time.monotonic() + self._timeout
        for body, count in _bodies([_exported(item) for item in items]):
            # A slow node could take its timeout for each of many posts. What comes too late is left to the relay.
            nodes = self._nodes if time.monotonic() < deadline else {}
            taken = frozenset(name for name, node in nodes.items() if node.post(body))
            accepted += [taken] * count
        return accepted

    def publish_to(self, node: str, items: Sequence[Item]) -> bool:
        """Send items to one node alone; whether it accepted all of them."""
        return all(self._nodes[node].post(body) for body, _ in _bodies([_exported(item) for item in items]))

    def is_spared(self) -> bool:
        """Whether no node would be tried at this moment."""
        return all(node.rests() for node in self._nodes.values())

    def unreachable(self) -> list[str]:
        """The nodes whose control port does not answer now; it takes no longer than a publish."""
        return [name for name, node in self._nodes.items() if not node.answers()]


class _Node:
    def __init__(self, url: str, timeout: float) -> None:
        config = parse_grip_uri(url)
        self.name: str = config["control_uri"]
        self._control = GripPubControl(config)
        for client in self._control.clients:
            session = client.requests_session
            session.trust_env = False  # neither a proxy from the environment nor .netrc has a say here
            for scheme in ("http://", "https://"):
                session.mount(scheme, _BoundedAdapter(timeout))
        self._failures = 0
        self._spared_until = 0.0
        self._failed_posts = metrics.CONTROL_FAILURES.labels(self.name)
        self._spared_posts = metrics.CONTROL_SPARED.labels(self.name)
        metrics.RELAY_HINTED.labels(self.name)  # shown as 0 from the start, as the two above

    def post(self, body: bytes) -> bool:
        if self._is_spared():
            self._spared_posts.inc()
            return False
        error = self._send(body)
        if error:
            self._failed(error)
            return False
        if self._failures >= FAILURES_UNTIL_SPARED:
            log.warning("control port %s answers again", self.name)
        self._failures = 0
        return True

    def answers(self) -> bool:
        """Whether the control port takes a post now, also while the node is spared; it is not counted."""
        return self._send(_body([])) is None

    def _send(self, body: bytes) -> Exception | None:
        """Post, and return what went wrong: pubcontrol hands errors back instead of raising them."""
        results = self._control.http_call("/publish/", body, {"Content-Type": "application/json"})
        return next((result[0] for result in results.values() if isinstance(result[0], Exception)), None)

    def _is_spared(self) -> bool:
        """Whether to leave the node alone; after a pause one caller tries while the others still pass by."""
        if self.rests():
            return True
        if self._failures >= FAILURES_UNTIL_SPARED:
            self._pause(time.monotonic())
        return False

    def rests(self) -> bool:
        """Whether it has failed several times, and a moment ago."""
        return self._failures >= FAILURES_UNTIL_SPARED and time.monotonic() < self._spared_until

    def _failed(self, error: Exception) -> None:
        self._failed_posts.inc()
        self._failures += 1
        self._pause(time.monotonic())
        if self._failures == FAILURES_UNTIL_SPARED:
            log.error("control port %s failed %d times: left to the relay (%s)", self.name, self._failures, error)
        elif self._failures < FAILURES_UNTIL_SPARED:
            log.warning("control port %s failed (%s)", self.name, error)

    def _pause(self, now: float) -> None:
        self._spared_until = now + random.uniform(*SPARED)  # noqa: S311 - spreads retries, protects nothing


class _BoundedAdapter(HTTPAdapter):
    """``pubcontrol`` sets no timeout and retries by itself: a hung control port would hang the worker for ever."""

    def __init__(self, timeout: float) -> None:
        super().__init__(max_retries=0)
        self.timeout = timeout

    def send(self, request: PreparedRequest, *args: Any, **kwargs: Any) -> Response:
        return super().send(request, *args, **{**kwargs, "timeout": self.timeout})


def _bodies(exported: Sequence[dict[str, Any]]) -> Iterator[tuple[bytes, int]]:
    """POST bodies under the proxy's limit, each with its number of items."""
    parts: list[bytes] = []
    size = 0
    for item in exported:
        part = orjson.dumps(item)
        if parts and size + len(part) > MAX_POST:
            yield _body(parts), len(parts)
            parts, size = [], 0
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield _body(parts), len(parts)


def _body(parts: list[bytes]) -> bytes:
    return b'{"items":[' + b",".join(parts) + b"]}"


# A waiting long poll is never sent an event: it asks the origin again, which knows all that it missed.
_HINT = {"action": "hint"}
_HINTS = {"http-stream": _HINT, "http-response": _HINT}


def _exported(item: Item) -> dict[str, Any]:
    if not item.content and not item.close:
        return {"channel": item.channel, "formats": _HINTS}
    formats = {"http-stream": {"action": "close"} if item.close else {"content": item.content}, "http-response": _HINT}
    return {"channel": item.channel, "id": str(item.seq), "prev-id": str(item.seq - 1), "formats": formats}
