"""Tokens: the identity of a caller, by a signed JWT (RFC 7519). No HTTP and no database here."""

import hashlib
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import islice
from typing import Any
from uuid import UUID

import jwt
import orjson
from itsdangerous import BadData, URLSafeSerializer

from shirase.errors import FieldError, Invalid, SettingsError, Unauthenticated
from shirase.fields import NAME
from shirase.keys import SHARED, Key, Keys, key_bytes, secrets
from shirase.settings import ADMIN, WRITE, Settings, TokenSettings

__all__ = ["ADMIN", "WRITE"]  # most callers that need a scope need the rest of this module too

MAX_USER_ID = 255
LEEWAY = 10  # seconds by which the signer's clock may differ
REMEMBERED = 256  # verified tokens, per process
MAX_TOPICS = 200  # accepted from one token

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Identity:
    """The caller, and its permissions beyond its own notifications."""

    user_id: str
    scopes: frozenset[str] = frozenset()
    expires_at: int | None = None  # Unix time
    topics: frozenset[str] | None = None  # in the token; None if it has no such claim

    def may(self, scope: str) -> bool:
        """Whether the token carries the scope."""
        return scope in self.scopes


def is_user_id(value: str) -> bool:
    """Accept any text of 1 to 255 characters without control characters and lone surrogates."""
    return 1 <= len(value) <= MAX_USER_ID and not _CONTROL.search(value)


def as_user_id(value: object) -> str | None:
    """Convert a value to a user id: text, or an integer or UUID as text; ``None`` for anything else."""
    if isinstance(value, UUID) or (isinstance(value, int) and not isinstance(value, bool)):
        value = str(value)
    return value if isinstance(value, str) and is_user_id(value) else None


def check_user_id(value: str) -> None:
    """Check a user id.

    Raises:
        Invalid: if it is not one.
    """
    if not is_user_id(value):
        message = f"must be 1 to {MAX_USER_ID} characters without control characters"
        raise Invalid(FieldError("user_id", message))


def mint(settings: TokenSettings, user_id: str | int, *, scope: str = "", ttl: int = 3600) -> str:
    """Sign a token as a host application would: for the command line, the demo and the tests.

    Raises:
        SettingsError: without ``JWT_SECRET``, since public keys can only verify.
    """
    if not settings.jwt_secret:
        raise SettingsError("JWT_SECRET", "is not set, and nothing else can sign a token: have its issuer sign one")
    now = int(time.time())
    claims: dict[str, str | int] = {settings.jwt_user_claim: str(user_id), "iat": now, "exp": now + ttl}
    if scope:
        claims[settings.jwt_scope_claims[0]] = " ".join(_granting(settings, name) for name in scope.split())
    if settings.jwt_issuer:
        claims["iss"] = settings.jwt_issuer
    if settings.jwt_audience:
        claims["aud"] = settings.jwt_audience
    return jwt.encode(claims, secrets(settings.jwt_secret)[0], algorithm=SHARED)


def verify(keys: Keys, settings: TokenSettings, token: str) -> Identity:
    """Verify a token and return its identity. The algorithm is the key's, never the token's (RFC 8725, section 3.1).

    Raises:
        Unauthenticated: if it is forged, expired, for someone else, or has no usable ``sub``.
        KeysUnavailable: if there are no keys to verify it with.
    """
    failure: Exception = jwt.InvalidKeyError()
    # Deeply nested JSON exceeds the interpreter's recursion limit before anything is verified.
    unreadable = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)
    try:
        for key in keys.candidates(_key_id(token) if keys.have_ids else None):
            try:
                identity = _verified(key, settings, token)
            except (jwt.InvalidSignatureError, jwt.InvalidAlgorithmError) as exc:
                failure = exc  # another of the keys may have signed it
            else:
                return _unexpired(identity)
    except unreadable as exc:
        failure = exc
    raise Unauthenticated("the token is not valid: " + _reason(failure)) from failure


# A producer sends the same token repeatedly, and verifying its signature is the largest part of the work. Verified
# signatures are cached by key and text, and expiry is checked on every request. A withdrawn key is not a candidate any
# more. Errors are not cached.


@lru_cache(REMEMBERED)
def _key_id(token: str) -> str | None:
    key_id: str | None = jwt.get_unverified_header(token).get("kid")
    return key_id


@lru_cache(REMEMBERED)
def _verified(key: Key, settings: TokenSettings, token: str) -> Identity:
    claims: dict[str, Any] = jwt.decode(
        token,
        key.material,
        algorithms=[key.algorithm],
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        leeway=LEEWAY,
        options={"require": ["exp"], "verify_aud": settings.jwt_audience is not None, "verify_sub": False},
    )
    if claims.get("token_type") == "refresh":  # Simple JWT signs both kinds with the same key
        raise Unauthenticated("this is a refresh token: send the access token")
    subject = _claim(claims, settings.jwt_user_claim)
    if subject is None:
        raise jwt.MissingRequiredClaimError(settings.jwt_user_claim)
    user_id = as_user_id(subject)
    if user_id is None:
        raise Unauthenticated(f"the token's {settings.jwt_user_claim} is not a user id")
    scopes = frozenset(scope for name in settings.jwt_scope_claims for scope in _words(_claim(claims, name)))
    return Identity(user_id, _granted(settings, scopes), int(claims["exp"]), _topics(claims))


def _claim(claims: dict[str, Any], name: str) -> object:
    """Return a claim by name, or else by path: ``realm_access.roles`` reaches into an object."""
    if name in claims:
        return claims[name]
    value: object = claims
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _topics(claims: dict[str, Any]) -> frozenset[str] | None:
    return as_topics(_words(claims["topics"])) if "topics" in claims else None


def name_topics(user: object, names: Iterable[object] | str | None) -> object:
    """Add the host's topics to the user that it has identified, a user's id or an ``Identity``."""
    user_id = as_user_id(user)
    identity = Identity(user_id) if user_id is not None else user
    if names is None or not isinstance(identity, Identity):
        return user
    return replace(identity, topics=as_topics(names.split() if isinstance(names, str) else names))


def as_topics(names: Iterable[object]) -> frozenset[str]:
    """The valid topic names among these, at most ``MAX_TOPICS``. Others are ignored, since no topic can have them."""
    valid = (name for name in names if isinstance(name, str) and NAME.fullmatch(name))
    return frozenset(islice(valid, MAX_TOPICS))


def _words(value: object) -> list[str]:
    """Read scopes: words of a text (RFC 8693, section 4.2), or a list, as roles and permissions usually are."""
    if isinstance(value, str):
        return value.split()
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _granted(settings: TokenSettings, scopes: frozenset[str]) -> frozenset[str]:
    """Return the token's scopes, with our own two under their names in the settings."""
    names_in_settings = {WRITE: settings.jwt_write_scopes, ADMIN: settings.jwt_admin_scopes}
    return (scopes - {WRITE, ADMIN}) | {scope for scope, names in names_in_settings.items() if names & scopes}


def _granting(settings: TokenSettings, scope: str) -> str:
    """Return the name of the scope in tokens."""
    return min({WRITE: settings.jwt_write_scopes, ADMIN: settings.jwt_admin_scopes}.get(scope, {scope}))


def _unexpired(identity: Identity) -> Identity:
    if identity.expires_at is not None and identity.expires_at <= time.time() - LEEWAY:
        raise jwt.ExpiredSignatureError
    return identity


def seal(settings: Settings, purpose: str, value: dict[str, Any]) -> str:
    """Sign a value for one purpose, as URL-safe text. It is not encrypted."""
    sealed = _sealer(settings, purpose).dumps(value)
    return sealed if isinstance(sealed, str) else sealed.decode()


def unseal(settings: Settings, purpose: str, sealed: str) -> dict[str, Any] | None:
    """The sealed value; ``None`` if the text was not sealed by us for this purpose."""
    try:
        opened: dict[str, Any] = _sealer(settings, purpose).loads(sealed)
    except BadData:
        return None
    return opened


def _sealer(settings: Settings, purpose: str) -> "URLSafeSerializer":
    # orjson does not escape an id's characters. Escaped, 255 of them could exceed the limit of a request line.
    return URLSafeSerializer(
        key_bytes(settings.pushpin_sig_key),
        salt=f"shirase.{purpose}",
        serializer=orjson,
        signer_kwargs={"digest_method": hashlib.sha256},
    )


def _reason(exc: Exception) -> str:
    """A reason from a closed list, so that nothing of a hostile token is echoed."""
    reasons = {
        jwt.ExpiredSignatureError: "it has expired",
        jwt.InvalidSignatureError: "its signature does not match",
        jwt.InvalidAlgorithmError: "it is not signed as this service requires",
        jwt.InvalidKeyError: "its key is not known",
        jwt.InvalidIssuerError: "it is from another issuer",
        jwt.InvalidAudienceError: "it is for another audience",
        jwt.ImmatureSignatureError: "it is not valid yet",
        jwt.MissingRequiredClaimError: "it lacks exp or the user's id",
    }
    return reasons.get(type(exc), "it cannot be read")
