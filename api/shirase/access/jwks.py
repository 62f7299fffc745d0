"""A JSON Web Key Set by URL (RFC 7517): the current keys of an identity provider.

PyJWT's own client fetches again for each unknown ``kid``, forgets its keys when a fetch fails, and has no limit on the
size of a response. Senders of made-up tokens would decide how often the provider is queried.
"""

import logging
import threading
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar

import httpx
import jwt
import orjson

from shirase import tls
from shirase.addresses import require_private
from shirase.errors import KeysUnavailable
from shirase.keys import Key, public_key

log = logging.getLogger(__name__)

FRESH = 300.0  # seconds until the set is fetched again
PAUSE = 10.0  # seconds at least between two fetches, whatever tokens arrive
STALE = 86_400.0  # seconds for which the last set is used while fetches fail
MAX_BYTES = 256 * 1024
MAX_KEYS = 50

KeySet = Sequence[tuple[str | None, Key]]


class Jwks:
    """The keys of one URL. Safe to share between threads; fetches only when a token is verified."""

    have_ids: ClassVar[bool] = True

    def __init__(
        self,
        url: str,
        timeout: float,
        http_hosts: Collection[str] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare, without fetching.

        Args:
            url: the address of the set.
            timeout: seconds to wait for an answer.
            http_hosts: hosts from which plain http is accepted, whatever their addresses.
            clock: monotonic seconds.
        """
        self.failure = ""  # the reason of the last failure
        self._url = url
        self._timeout = timeout
        self._http_hosts = http_hosts
        self._clock = clock
        self._lock = threading.Lock()
        self._known: KeySet = ()
        self._attempted = False  # a fetch has ended, successfully or not
        self._fetched_at = self._tried_at = float("-inf")

    def candidates(self, key_id: str | None) -> Sequence[Key]:
        """Return the keys with that ``kid``, or all keys without one.

        Raises:
            KeysUnavailable: if there is no set and none can be fetched.
        """
        if self._age() > FRESH:
            # Without a set, callers wait for the first fetch. After a failed one they do not: an issuer that hangs
            # must not hold every thread.
            self._fetch(wait=not self._attempted)
        key = self._with_id(key_id)
        if (
            not key and self._known
        ):  # the keys may have been rotated; one caller fetches, the others use the present set
            self._fetch(wait=False)
            key = self._with_id(key_id)
        if self._age() > STALE:
            raise KeysUnavailable("the keys that tokens are checked with cannot be fetched")
        return key

    def _age(self) -> float:
        return self._clock() - self._fetched_at

    def _with_id(self, key_id: str | None) -> Sequence[Key]:
        return [key for name, key in self._known if key_id is None or name == key_id]

    def _fetch(self, *, wait: bool) -> None:
        """Fetch, unless that was tried recently; while another thread does, wait for it or use the last set."""
        if not self._lock.acquire(blocking=wait):
            return
        try:
            now = self._clock()
            if now - self._tried_at < PAUSE:
                return
            self._tried_at = now
            self._known = _read(self._get())
            self._fetched_at = now
        except (httpx.HTTPError, OSError, ValueError) as exc:
            self.failure = str(exc) or type(exc).__name__
            log.warning("JWT_JWKS_URL has no answer that can be used: %s", self.failure)
        finally:
            self._attempted = True
            self._lock.release()

    def _get(self) -> bytes:
        deadline = time.monotonic() + self._timeout
        body = b""
        url, headers = self._address()
        with (
            httpx.Client(verify=tls.context(), timeout=self._timeout) as http,
            http.stream("GET", url, headers=headers) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise ValueError(f"it answers {answer.status_code}")
            for part in answer.iter_bytes():
                body += part
                if len(body) > MAX_BYTES or time.monotonic() > deadline:
                    raise ValueError("it is too large or too slow")
        return body

    def _address(self) -> tuple[httpx.URL, dict[str, str]]:
        """Return where to connect. Plain http uses the address that was checked: the name may change meanwhile."""
        url = httpx.URL(self._url)
        headers = {"Accept": "application/json"}
        if url.scheme == "http" and url.host not in self._http_hosts:
            headers["Host"] = url.netloc.decode()
            url = url.copy_with(host=require_private(url.host))
        return url, headers


def _read(body: bytes) -> KeySet:
    content = orjson.loads(body)
    entries = content.get("keys") if isinstance(content, dict) else None
    listed = entries[:MAX_KEYS] if isinstance(entries, list) else []
    keys = [(entry.get("kid"), key) for entry in listed if isinstance(entry, dict) and (key := _key(entry))]
    if not keys:
        raise ValueError("it has no key for RS256, ES256 or EdDSA")
    return keys


def _key(entry: dict[str, Any]) -> Key | None:
    """Read a key of a set; ``None`` unless it is a public key for signatures."""
    if entry.get("kty") not in ("RSA", "EC", "OKP") or entry.get("use", "sig") != "sig" or "d" in entry:
        return None
    try:
        key = public_key(jwt.PyJWK(entry).key)
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    return key if entry.get("alg", key.algorithm) == key.algorithm else None
