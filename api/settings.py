"""The settings: read once from the environment, checked at the start, frozen afterwards."""

import re
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from api.errors import SettingsError

MIN_KEY_BYTES = 32  # RFC 7518 section 3.2: an HS256 key has at least the size of the hash
PUSHPIN_STOCK_KEY = "changeme"  # what Debian's pushpin.conf ships: anyone can sign with it


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What an operator can choose. The names in the environment are these in capitals."""

    database_url: str = field(repr=False)
    grip_url: tuple[str, ...] = field(repr=False)  # control addresses, one a proxy node
    pushpin_sig_key: str = field(repr=False)
    jwt_secret: str = field(repr=False)
    jwt_issuer: str | None = None
    jwt_audience: str | None = None
    sse_keepalive_timeout: int = 30  # seconds between heartbeats
    sse_queue_size: int = 100  # missed events replayed in one response
    sse_resync_interval: int = 3600  # seconds of silence until the proxy reads a stream again
    publish_timeout: float = 2.0  # seconds that a publish may take, all nodes together
    database_timeout: float = 10.0  # seconds that a connection, a lock or a statement may take
    retention_days: int = 30  # how long notifications and events are kept
    log_level: str = "INFO"
    log_format: str = "text"
    demo: bool = False

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> "Settings":
        """Read and check every setting.

        Raises:
            SettingsError: for the first one that is missing or wrong, by its name.
        """
        return cls(
            database_url=_required(environ, "DATABASE_URL"),
            grip_url=_grip_urls(_required(environ, "GRIP_URL")),
            pushpin_sig_key=signing_key(environ, "PUSHPIN_SIG_KEY"),
            jwt_secret=signing_key(environ, "JWT_SECRET"),
            jwt_issuer=_optional(environ, "JWT_ISSUER"),
            jwt_audience=_optional(environ, "JWT_AUDIENCE"),
            sse_keepalive_timeout=int(_number(environ, "SSE_KEEPALIVE_TIMEOUT", 30, 1, 3600)),
            sse_queue_size=int(_number(environ, "SSE_QUEUE_SIZE", 100, 1, 10_000)),
            sse_resync_interval=int(_number(environ, "SSE_RESYNC_INTERVAL", 3600, 1, 86_400)),
            publish_timeout=_number(environ, "PUBLISH_TIMEOUT", 2.0, 0.05, 60, whole=False),
            database_timeout=_number(environ, "DATABASE_TIMEOUT", 10.0, 1, 600, whole=False),
            retention_days=int(_number(environ, "RETENTION_DAYS", 30, 1, 36_500)),
            log_level=_choice(environ, "LOG_LEVEL", "INFO", "DEBUG", "WARNING", "ERROR"),
            log_format=_choice(environ, "LOG_FORMAT", "text", "json"),
            demo=_choice(environ, "SHIRASE_DEMO", "off", "on") == "on",
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


def _choice(environ: Mapping[str, str], name: str, default: str, *others: str) -> str:
    text = _optional(environ, name)
    if text is None:
        return default
    for allowed in (default, *others):
        if text.casefold() == allowed.casefold():
            return allowed
    raise SettingsError(name, f"must be one of {', '.join((default, *others))}, not {text!r}")


def signing_key(environ: Mapping[str, str], name: str) -> str:
    """Read and check one key alone, for a process that needs no other setting.

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


def key_bytes(text: str) -> bytes:
    """A key as Pushpin writes it: plain, ``base64:…`` or ``file:…``."""
    if text.startswith("base64:"):
        return b64decode(text.removeprefix("base64:"), validate=True)
    if text.startswith("file:"):
        return Path(text.removeprefix("file:")).read_bytes().strip()
    return text.encode()


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
