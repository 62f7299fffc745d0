"""The settings: read once from the environment, checked at the start, frozen afterwards."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from shirase import variables
from shirase.catalogue import Catalogue
from shirase.errors import SettingsError
from shirase.keys import key_bytes, public_keys, secret_keys
from shirase.mail_settings import MailSettings
from shirase.vapid import PushKey
from shirase.variables import choice, number, optional, rate, words

NO_TYPES = Catalogue()  # one for all: equal settings share it, since catalogues are compared by identity
WRITE, ADMIN = "notifications:write", "notifications:admin"  # scopes
MIN_KEY_BYTES = 32
TOKEN_KEYS = ("JWT_SECRET", "JWT_PUBLIC_KEY", "JWT_JWKS_URL")  # exactly one of them is set
DEMO_KEY_PREFIX = "demo-"  # of the JWT_SECRET that `shirase up --demo` makes
APPRISE_URL = re.compile(r"[a-z0-9]+://[^{}]*\{user_id\}[^{}]*")
REJECT = "reject"  # a policy for streams beyond the limit
PUSHPIN_STOCK_KEY = "changeme"  # from Debian's pushpin.conf, and so known to everyone


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """The settings for verifying tokens, and for signing them if there is a secret. Enough for a command that signs."""

    jwt_secret: str = field(default="", repr=False)  # one key or several; the first signs
    jwt_public_key: str = ""  # PEM, one key or several
    jwt_jwks_url: str = ""
    jwt_jwks_timeout: float = 2.0  # seconds to fetch the key set
    jwt_jwks_http_hosts: frozenset[str] = frozenset()  # hosts whose key set may come over plain http
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    jwt_user_claim: str = "sub"  # the claim with the user's id
    jwt_scope_claims: tuple[str, ...] = ("scope",)  # the claims with scopes, as text or lists
    jwt_write_scopes: frozenset[str] = frozenset({WRITE})  # any of these grants WRITE
    jwt_admin_scopes: frozenset[str] = frozenset({ADMIN})

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "TokenSettings":
        """Read and check these settings alone.

        Raises:
            SettingsError: for the first one that is missing or wrong, by its name.
        """
        return cls(**_token_keys(environ), **_token_claims(environ))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(TokenSettings):
    """All settings. Their environment variables have the same names in capitals."""

    database_url: str = field(repr=False)
    database_schema: str | None = None  # the schema of the tables in PostgreSQL; None: by the role's search_path
    grip_url: tuple[str, ...] = field(repr=False)  # control addresses, one for each proxy node
    pushpin_stats_url: tuple[str, ...] = ()  # addresses of these nodes' statistics, in the same order
    pushpin_sig_key: str = field(repr=False)
    auth_cookie: str | None = None  # the cookie with the token
    auth_query_token: bool = True  # whether ?token= opens a stream; ?ticket= always does
    cors_origins: frozenset[str] = frozenset()  # in the form of the Origin header
    cors_headers: frozenset[str] = frozenset()  # request headers that pages may send besides the standard ones
    sse_keepalive_timeout: int = 30  # seconds between heartbeats
    sse_max_connections_per_user: int = 5  # streams that a user may hold open, over all nodes
    sse_connection_limit_policy: str = "evict-oldest"  # for a stream beyond the limit; or "reject"
    sse_queue_size: int = 100  # missed events replayed in one response
    sse_resync_interval: int = 3600  # seconds of silence until the proxy reads a stream again
    rate_limit_creates: str | None = "1000/second"  # per caller; None: no limit
    rate_limit_changes: str | None = "6000/minute"
    rate_limit_preferences: str | None = "600/hour"
    rate_limit_connects: str | None = "600/minute"
    rate_limit_tickets: str | None = "600/minute"
    rate_limit_file: str | None = None  # shared by the workers of one host
    request_timeout: float = 10.0  # seconds in which a request must arrive completely
    publish_timeout: float = 2.0  # seconds for a publish to all nodes
    database_timeout: float = 10.0  # seconds for a connect, a lock or a statement
    outbound_private_hosts: frozenset[str] = frozenset()  # HOST or HOST:PORT, which may be private
    retention_days: int = 30  # for which notifications and events are kept
    log_level: str = "INFO"
    log_format: str = "text"
    public_url: str | None = None  # the URL for clients, if an edge adds a prefix or another host
    type_catalogue: Catalogue = field(default=NO_TYPES, repr=False)  # the types, and the schemas of their payloads
    mail: MailSettings | None = None  # None: no mail is sent
    push_key: PushKey | None = None  # VAPID_PRIVATE_KEY and VAPID_CONTACT; None: no Web Push
    apprise: bool = False  # whether notifications go to users' addresses of Apprise
    apprise_urls: tuple[str, ...] = field(default=(), repr=False)  # for every user, with {user_id} in each
    demo: bool = False
    demo_mail: str | None = None  # the directory in which the demo's mail server keeps what it accepts

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, tokens: bool = True) -> "Settings":
        """Read and check every setting.

        Args:
            environ: their values.
            tokens: whether tokens are checked; an application that mounts our routes has a sign-in of its own.

        Raises:
            SettingsError: for the first one that is missing or wrong, by its name.
        """
        database_url = variables.database_url(environ)
        grip_url = variables.grip_urls(environ, "GRIP_URL")
        return cls(
            database_url=database_url,
            database_schema=variables.schema_name(environ),
            grip_url=grip_url,
            pushpin_stats_url=variables.stats_urls(environ, "PUSHPIN_STATS_URL", grip_url),
            pushpin_sig_key=signing_key(environ, "PUSHPIN_SIG_KEY"),
            **(_token_keys(environ) if tokens else {}),
            **_token_claims(environ),
            auth_cookie=variables.cookie_name(environ, "AUTH_COOKIE"),
            auth_query_token=choice(environ, "AUTH_QUERY_TOKEN", "on", "off") == "on",
            cors_origins=variables.origins(environ, "CORS_ORIGINS"),
            cors_headers=variables.header_names(environ, "CORS_HEADERS"),
            sse_keepalive_timeout=_keepalive(environ),
            sse_max_connections_per_user=int(number(environ, "SSE_MAX_CONNECTIONS_PER_USER", 5, 1, 10_000)),
            sse_connection_limit_policy=choice(environ, "SSE_CONNECTION_LIMIT_POLICY", "evict-oldest", REJECT),
            sse_queue_size=int(number(environ, "SSE_QUEUE_SIZE", 100, 1, 10_000)),
            sse_resync_interval=int(number(environ, "SSE_RESYNC_INTERVAL", 3600, 1, 86_400)),
            rate_limit_creates=rate(environ, "RATE_LIMIT_CREATES", "1000/second"),
            rate_limit_changes=rate(environ, "RATE_LIMIT_CHANGES", "6000/minute"),
            rate_limit_preferences=rate(environ, "RATE_LIMIT_PREFERENCES", "600/hour"),
            rate_limit_connects=rate(environ, "RATE_LIMIT_CONNECTS", "600/minute"),
            rate_limit_tickets=rate(environ, "RATE_LIMIT_TICKETS", "600/minute"),
            rate_limit_file=optional(environ, "RATE_LIMIT_FILE"),
            request_timeout=request_timeout(environ),
            publish_timeout=number(environ, "PUBLISH_TIMEOUT", 2.0, 0.05, 60, whole=False),
            database_timeout=number(environ, "DATABASE_TIMEOUT", 10.0, 1, 600, whole=False),
            outbound_private_hosts=variables.hosts(environ, "OUTBOUND_PRIVATE_HOSTS"),
            retention_days=int(number(environ, "RETENTION_DAYS", 30, 1, 36_500)),
            log_level=choice(environ, "LOG_LEVEL", "INFO", "DEBUG", "WARNING", "ERROR"),
            log_format=choice(environ, "LOG_FORMAT", "text", "json"),
            public_url=variables.public_url(environ, "PUBLIC_URL"),
            type_catalogue=_catalogue(environ),
            mail=MailSettings.from_env(environ),
            push_key=PushKey.from_env(environ),
            **_apprise(environ),
            demo=_demo(environ),
            demo_mail=optional(environ, "SHIRASE_DEMO_MAIL"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """The settings of a proxy node: one key, but no secrets of tokens or database."""

    pushpin_sig_key: str = field(repr=False)
    cors_origins: frozenset[str] = frozenset()
    cors_headers: frozenset[str] = frozenset()
    sse_keepalive_timeout: int = 30

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "ProxySettings":
        """Read and check these settings alone.

        Raises:
            SettingsError: for the first one that is missing or wrong, by its name.
        """
        return cls(
            pushpin_sig_key=signing_key(environ, "PUSHPIN_SIG_KEY"),
            cors_origins=variables.origins(environ, "CORS_ORIGINS"),
            cors_headers=variables.header_names(environ, "CORS_HEADERS"),
            sse_keepalive_timeout=_keepalive(environ),
        )


def request_timeout(environ: Mapping[str, str]) -> float:
    """Read and check ``REQUEST_TIMEOUT`` alone: gunicorn's worker may run another application around ours."""
    return number(environ, "REQUEST_TIMEOUT", 10.0, 0.1, 600, whole=False)


def _demo(environ: Mapping[str, str]) -> bool:
    """Whether to serve the demo page, which signs tokens for anyone; refused with a key that is not a demo's."""
    enabled = choice(environ, "SHIRASE_DEMO", "off", "on") == "on"
    if enabled and not (optional(environ, "JWT_SECRET") or "").startswith(DEMO_KEY_PREFIX):
        raise SettingsError(
            "JWT_SECRET", "is not the demo's own, and the demo signs a token for anyone: unset it, or leave --demo out"
        )
    return enabled


def _apprise(environ: Mapping[str, str]) -> dict[str, Any]:
    is_on = choice(environ, "APPRISE", "off", "on") == "on"
    if is_on and find_spec("apprise") is None:
        raise SettingsError("APPRISE", "needs a package that is not installed: pip install 'shirase[apprise]'")
    urls = tuple((variables.secret(environ, "APPRISE_URLS") or "").split())
    if urls and not is_on:
        raise SettingsError("APPRISE_URLS", "is set, but APPRISE is off")
    if not all(APPRISE_URL.fullmatch(url) for url in urls):
        raise SettingsError(
            "APPRISE_URLS", "must have {user_id} in each address, as in ntfys://ntfy.example.com/{user_id}"
        )
    return {"apprise": is_on, "apprise_urls": urls}


def _keepalive(environ: Mapping[str, str]) -> int:
    return int(number(environ, "SSE_KEEPALIVE_TIMEOUT", 30, 1, 3600))


def signing_key(environ: Mapping[str, str], name: str) -> str:
    """Read and check one key.

    Raises:
        SettingsError: if it is missing, unreadable, too short or publicly known.
    """
    value = variables.required(environ, name)
    if value == PUSHPIN_STOCK_KEY:
        raise SettingsError(name, f"must not be Pushpin's stock key {PUSHPIN_STOCK_KEY!r}")
    try:
        size = len(key_bytes(value))
    except (OSError, ValueError) as exc:
        raise SettingsError(name, f"cannot be read: {exc}") from exc
    if size < MIN_KEY_BYTES:
        raise SettingsError(
            name,
            f"must have at least {MIN_KEY_BYTES} bytes; make one with: openssl rand -hex 32",
        )
    return value


def _token_keys(environ: Mapping[str, str]) -> dict[str, Any]:
    present = {name: value for name in TOKEN_KEYS if (value := optional(environ, name))}
    if not present:
        raise SettingsError("JWT_SECRET", "is not set, and neither is JWT_PUBLIC_KEY or JWT_JWKS_URL")
    if len(present) > 1:
        raise SettingsError(" and ".join(present), "are set at once; a token is checked in one way only")
    for name, value in present.items():
        try:
            _TOKEN_CHECKS[name](environ, value)
        except (OSError, ValueError) as exc:
            raise SettingsError(name, str(exc)) from exc
    return {name.lower(): value for name, value in present.items()}


def _token_claims(environ: Mapping[str, str]) -> dict[str, Any]:
    return {
        "jwt_jwks_timeout": number(environ, "JWT_JWKS_TIMEOUT", 2.0, 0.05, 60, whole=False),
        "jwt_jwks_http_hosts": frozenset(words(environ, "JWT_JWKS_HTTP_HOSTS")),
        "jwt_issuer": optional(environ, "JWT_ISSUER"),
        "jwt_audience": optional(environ, "JWT_AUDIENCE"),
        "jwt_user_claim": optional(environ, "JWT_USER_CLAIM") or "sub",
        "jwt_scope_claims": words(environ, "JWT_SCOPE_CLAIMS") or ("scope",),
        "jwt_write_scopes": frozenset(words(environ, "JWT_WRITE_SCOPES") or (WRITE,)),
        "jwt_admin_scopes": frozenset(words(environ, "JWT_ADMIN_SCOPES") or (ADMIN,)),
    }


_TOKEN_CHECKS: dict[str, Callable[[Mapping[str, str], str], object]] = {
    "JWT_SECRET": lambda _, value: secret_keys(value),
    "JWT_PUBLIC_KEY": lambda _, value: public_keys(value),
    "JWT_JWKS_URL": variables.check_jwks_url,
}


def _catalogue(environ: Mapping[str, str]) -> Catalogue:
    path = optional(environ, "TYPE_CATALOGUE")
    return NO_TYPES if path is None else Catalogue.read(Path(path))
