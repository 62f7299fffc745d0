"""Tokens: who a request says it is, proven by a signed JWT (RFC 7519). No HTTP and no database here."""

import re
import time
from dataclasses import dataclass
from typing import Any

import jwt
from itsdangerous import BadData, URLSafeSerializer

from api.errors import FieldError, Invalid, Unauthenticated
from api.settings import Settings

WRITE = "notifications:write"
ADMIN = "notifications:admin"
MAX_USER_ID = 255
LEEWAY = 10  # seconds by which the signer's clock may differ

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is calling and what they may do beyond their own notifications."""

    user_id: str
    scopes: frozenset[str] = frozenset()
    expires_at: int | None = None  # Unix time

    def may(self, scope: str) -> bool:
        """Whether the token carries the scope."""
        return scope in self.scopes


def is_user_id(value: str) -> bool:
    """Any text of 1 to 255 characters without control characters (or lone surrogates, which are not text)."""
    return 1 <= len(value) <= MAX_USER_ID and not _CONTROL.search(value)


def check_user_id(value: str) -> None:
    """Let a user id pass.

    Raises:
        Invalid: if it is not one.
    """
    if not is_user_id(value):
        message = f"must be 1 to {MAX_USER_ID} characters without control characters"
        raise Invalid(FieldError("user_id", message))


def mint(settings: Settings, user_id: str, *, scope: str = "", ttl: int = 3600) -> str:
    """Sign a token as a host application would: for the command line, the demo and the tests."""
    now = int(time.time())
    claims: dict[str, str | int] = {"sub": user_id, "iat": now, "exp": now + ttl}
    if scope:
        claims["scope"] = scope
    if settings.jwt_issuer:
        claims["iss"] = settings.jwt_issuer
    if settings.jwt_audience:
        claims["aud"] = settings.jwt_audience
    return jwt.encode(claims, settings.jwt_secret, algorithm="HS256")


def verify(settings: Settings, token: str) -> Identity:
    """Who a token speaks for. The algorithm is ours to say, never the token's (RFC 8725, section 3.1).

    Raises:
        Unauthenticated: if it is forged, expired, for someone else, or has no usable ``sub``.
    """
    try:
        claims = jwt.decode(
            token,
            settings.jwt_secret,
            algorithms=["HS256"],
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            leeway=LEEWAY,
            options={"require": ["exp", "sub"], "verify_aud": settings.jwt_audience is not None},
        )
    except (jwt.PyJWTError, ValueError) as exc:
        raise Unauthenticated("the token is not valid: " + _reason(exc)) from exc
    subject, scope = claims["sub"], claims.get("scope", "")
    if not is_user_id(subject):
        raise Unauthenticated("the token's sub is not a user id")
    scopes = frozenset(scope.split()) if isinstance(scope, str) else frozenset()
    return Identity(subject, scopes, int(claims["exp"]))


def seal(settings: Settings, purpose: str, value: dict[str, Any]) -> str:
    """Text in URL-safe characters that only we can make, for one purpose; anyone can read it."""
    return URLSafeSerializer(settings.pushpin_sig_key, salt=f"shirase.{purpose}").dumps(value)


def unseal(settings: Settings, purpose: str, sealed: str) -> dict[str, Any] | None:
    """What was sealed, or ``None`` if it was not sealed by us for this purpose."""
    try:
        opened: dict[str, Any] = URLSafeSerializer(settings.pushpin_sig_key, salt=f"shirase.{purpose}").loads(sealed)
    except BadData:
        return None
    return opened


def _reason(exc: Exception) -> str:
    """A reason from a closed list, so that nothing of a hostile token is echoed."""
    reasons = {
        jwt.ExpiredSignatureError: "it has expired",
        jwt.InvalidSignatureError: "its signature does not match",
        jwt.InvalidIssuerError: "it is from another issuer",
        jwt.InvalidAudienceError: "it is for another audience",
        jwt.ImmatureSignatureError: "it is not valid yet",
        jwt.MissingRequiredClaimError: "it lacks exp or sub",
    }
    return reasons.get(type(exc), "it cannot be read")
