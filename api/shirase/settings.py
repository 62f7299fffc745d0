"""The settings: read once from the environment, checked at the start, frozen afterwards."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from shirase.errors import SettingsError
from shirase.keys import Key, key_bytes, public_keys, secret_keys

MIN_KEY_BYTES = 32
TOKEN_KEYS = ("JWT_SECRET", "JWT_PUBLIC_KEY", "JWT_JWKS_URL")  # exactly one of them is set
REJECT = "reject"  # of the policies for a user's stream too many
PUSHPIN_STOCK_KEY = "changeme"  # what Debian's pushpin.conf ships: anyone can sign with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator can choose. The names in the environment are these in capitals."""

    database_url: str = field(repr=False)
    database_schema: str | None = None  # where the tables are in PostgreSQL; None: where the user's search_path leads
    grip_url: tuple[str, ...] = field(repr=False)  # control addresses, one a proxy node
    pushpin_stats_url: tuple[str, ...] = ()  # where each of these nodes publishes its statistics, in the same order
    pushpin_sig_key: str = field(repr=False)
    jwt_secret: str = field(default="", repr=False)  # one key or several; the first signs
    jwt_public_key: str = ""  # PEM, one key or several
    jwt_jwks_url: str = ""
    jwt_jwks_timeout: float = 2.0  # seconds that the key set may take
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    auth_cookie: str | None = None  # the cookie that carries the token
    auth_query_token: bool = True  # whether ?token= opens a stream; ?ticket= always does
    cors_origins: frozenset[str] = frozenset()  # as browsers send them in Origin
    sse_keepalive_timeout: int = 30  # seconds between heartbeats
    sse_max_connections_per_user: int = 5  # streams that a user may hold, over all nodes
    sse_connection_limit_policy: str = "evict-oldest"  # what one more does, or "reject"
    sse_queue_size: int = 100  # missed events replayed in one response
    sse_resync_interval: int = 3600  # seconds of silence until the proxy reads a stream again
    rate_limit_creates: str | None = "1000/second"  # of one caller; None: no limit
    rate_limit_connects: str | None = "600/minute"
    rate_limit_tickets: str | None = "600/minute"
    rate_limit_file: str | None = None  # where the workers of one host count together
    request_timeout: float = 10.0  # seconds in which a request must have arrived whole
    publish_timeout: float = 2.0  # seconds that a publish may take, all nodes together
    database_timeout: float = 10.0  # seconds that a connection, a lock or a statement may take
    retention_days: int = 30  # how long notifications and events are kept
    log_level: str = "INFO"
    log_format: str = "text"
    demo: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str], *, tokens: bool = True) -> "Settings":
        """Read and check every setting.

        Args:
            environ: their values.
            tokens: whether tokens are checked; an application that mounts our routes has a sign-in of its own.

        Raises:
            SettingsError: for the first one that is missing or wrong, by its name.
        """
        grip_url = _grip_urls(_required(environ, "GRIP_URL"))
        return cls(
            database_url=_required(environ, "DATABASE_URL"),
            database_schema=schema_name(environ),
            grip_url=grip_url,
            pushpin_stats_url=_stats_urls(_optional(environ, "PUSHPIN_STATS_URL"), len(grip_url)),
            pushpin_sig_key=signing_key(environ, "PUSHPIN_SIG_KEY"),
            **(_token_keys(environ) if tokens else {}),
            jwt_jwks_timeout=_number(environ, "JWT_JWKS_TIMEOUT", 2.0, 0.05, 60, whole=False),
            jwt_issuer=_optional(environ, "JWT_ISSUER"),
            jwt_audience=_optional(environ, "JWT_AUDIENCE"),
            auth_cookie=_cookie_name(environ),
            auth_query_token=_choice(environ, "AUTH_QUERY_TOKEN", "on", "off") == "on",
            cors_origins=_origins(environ),
            sse_keepalive_timeout=_keepalive(environ),
            sse_max_connections_per_user=int(_number(environ, "SSE_MAX_CONNECTIONS_PER_USER", 5, 1, 10_000)),
            sse_connection_limit_policy=_choice(environ, "SSE_CONNECTION_LIMIT_POLICY", "evict-oldest", REJECT),
            sse_queue_size=int(_number(environ, "SSE_QUEUE_SIZE", 100, 1, 10_000)),
            sse_resync_interval=int(_number(environ, "SSE_RESYNC_INTERVAL", 3600, 1, 86_400)),
            rate_limit_creates=_rate(environ, "RATE_LIMIT_CREATES", "1000/second"),
            rate_limit_connects=_rate(environ, "RATE_LIMIT_CONNECTS", "600/minute"),
            rate_limit_tickets=_rate(environ, "RATE_LIMIT_TICKETS", "600/minute"),
            rate_limit_file=_optional(environ, "RATE_LIMIT_FILE"),
            request_timeout=_number(environ, "REQUEST_TIMEOUT", 10.0, 0.1, 600, whole=False),
            publish_timeout=_number(environ, "PUBLISH_TIMEOUT", 2.0, 0.05, 60, whole=False),
            database_timeout=_number(environ, "DATABASE_TIMEOUT", 10.0, 1, 600, whole=False),
            retention_days=int(_number(environ, "RETENTION_DAYS", 30, 1, 36_500)),
            log_level=_choice(environ, "LOG_LEVEL", "INFO", "DEBUG", "WARNING", "ERROR"),
            log_format=_choice(environ, "LOG_FORMAT", "text", "json"),
            demo=_choice(environ, "SHIRASE_DEMO", "off", "on") == "on",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """What a proxy node has to know: one key, and neither the tokens' nor the database's."""

    pushpin_sig_key: str = field(repr=False)
    cors_origins: frozenset[str] = frozenset()
    sse_keepalive_timeout: int = 30

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "ProxySettings":
        """Read and check these settings alone.

        Raises:
            SettingsError: for the first one that is missing or wrong, by its name.
        """
        return cls(
            pushpin_sig_key=signing_key(environ, "PUSHPIN_SIG_KEY"),
            cors_origins=_origins(environ),
            sse_keepalive_timeout=_keepalive(environ),
        )


def _optional(environ: Mapping[str, str], name: str) -> str | None:
    return environ.get(name, "").strip() or None


def _required(environ: Mapping[str, str], name: str) -> str:
    value = _optional(environ, name)
    if value is None:
        raise SettingsError(name, "is not set")
    return value


def _number(
    environ: Mapping[str, str],
    name: str,
    default: float,
    least: float,
    most: float,
    *,
    whole: bool = True,
) -> float:
    text = _optional(environ, name)
    if text is None:
        return default
    kind = "a whole number" if whole else "a number"
    if not re.fullmatch(r"[0-9]{1,9}" if whole else r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise SettingsError(name, f"must be {kind} from {least} to {most}, not {text!r}")
    value = float(text)
    if not least <= value <= most:
        raise SettingsError(name, f"must be {kind} from {least} to {most}, not {text}")
    return value


def _keepalive(environ: Mapping[str, str]) -> int:
    return int(_number(environ, "SSE_KEEPALIVE_TIMEOUT", 30, 1, 3600))


def _choice(environ: Mapping[str, str], name: str, default: str, *others: str) -> str:
    text = _optional(environ, name)
    if text is None:
        return default
    for allowed in (default, *others):
        if text.casefold() == allowed.casefold():
            return allowed
    raise SettingsError(name, f"must be one of {', '.join((default, *others))}, not {text!r}")


def schema_name(environ: Mapping[str, str]) -> str | None:
    """Read and check ``DATABASE_SCHEMA`` alone, for the command that makes the tables.

    Raises:
        SettingsError: if it is not a name that PostgreSQL takes without quotes, or is one of its own.
    """
    name = _optional(environ, "DATABASE_SCHEMA")
    if name and (not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name) or name.startswith("pg_")):
        raise SettingsError(
            "DATABASE_SCHEMA", f"must be 1 to 63 of a-z, 0-9 and _, not beginning with a digit or pg_, not {name!r}"
        )
    return name


def signing_key(environ: Mapping[str, str], name: str) -> str:
    """Read and check one key.

    Raises:
        SettingsError: if it is missing, cannot be read, or protects nothing.
    """
    value = _required(environ, name)
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


def _token_keys(environ: Mapping[str, str]) -> dict[str, str]:
    given = {name: value for name in TOKEN_KEYS if (value := _optional(environ, name))}
    if not given:
        raise SettingsError("JWT_SECRET", "is not set, and neither is JWT_PUBLIC_KEY or JWT_JWKS_URL")
    if len(given) > 1:
        raise SettingsError(" and ".join(given), "are set at once; a token is checked in one way only")
    for name, value in given.items():
        try:
            _TOKEN_CHECKS[name](value)
        except (OSError, ValueError) as exc:
            raise SettingsError(name, str(exc)) from exc
    return {name.lower(): value for name, value in given.items()}


def _check_jwks_url(value: str) -> None:
    parts = urlsplit(value)
    host = parts.hostname
    if parts.scheme not in ("http", "https") or not host or parts.port == 0:
        raise ValueError("must be https://HOST/PATH")
    # Whoever can change the answer on its way signs tokens for anyone.
    if parts.scheme == "http" and "." in host and not (re.fullmatch(r"[0-9.]+", host) and ip_address(host).is_private):
        raise ValueError("must be https:// unless the host is in a private network")


_TOKEN_CHECKS: dict[str, Callable[[str], tuple[Key, ...] | None]] = {
    "JWT_SECRET": secret_keys,
    "JWT_PUBLIC_KEY": public_keys,
    "JWT_JWKS_URL": _check_jwks_url,
}


def _rate(environ: Mapping[str, str], name: str, default: str) -> str | None:
    text = (_optional(environ, name) or default).lower()
    if text == "off":
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,8}/(second|minute|hour|day)", text):
        raise SettingsError(name, f"must be like 600/minute, or off, not {text!r}")
    return text


def _cookie_name(environ: Mapping[str, str]) -> str | None:
    name = _optional(environ, "AUTH_COOKIE")
    if name and not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):  # RFC 6265 section 4.1.1
        raise SettingsError("AUTH_COOKIE", f"must be the name of a cookie, not {name!r}")
    return name


def _origins(environ: Mapping[str, str]) -> frozenset[str]:
    found = frozenset(re.split(r"[\s,]+", _optional(environ, "CORS_ORIGINS") or "")) - {""}
    for origin in found:
        # As browsers write it: no path, no default port, no wildcard. Anything else would never match, or too much.
        match = re.fullmatch(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:]+\])(?::([1-9][0-9]{0,4}))?", origin)
        if not match or (match[1], match[3]) in (("http", "80"), ("https", "443")):
            raise SettingsError("CORS_ORIGINS", f"must be like https://app.example.com, without a path, not {origin!r}")
    return found


def _grip_urls(value: str) -> tuple[str, ...]:
    urls = tuple(re.split(r"[\s,]+", value))
    for url in urls:
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            usable = False
        if not usable:
            raise SettingsError("GRIP_URL", "must be http(s)://HOST:PORT, one or several")
    return urls


def _stats_urls(value: str | None, nodes: int) -> tuple[str, ...]:
    urls = tuple(re.split(r"[\s,]+", value)) if value else ()
    for url in urls:
        try:
            parts = urlsplit(url)
            usable = parts.scheme == "tcp" and parts.hostname and parts.port and not parts.path
        except ValueError:
            usable = False
        if not usable:
            raise SettingsError("PUSHPIN_STATS_URL", "must be tcp://HOST:PORT, one for each node of GRIP_URL")
    if urls and len(urls) != nodes:
        raise SettingsError(
            "PUSHPIN_STATS_URL", f"names {len(urls)} nodes and GRIP_URL {nodes}: give both the same, in order"
        )
    return urls
