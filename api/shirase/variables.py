"""Reads and validates single environment variables, directly or from a file."""

import re
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote, urlsplit

from shirase.addresses import require_private
from shirase.database_url import SCHEMA_NAME, read
from shirase.errors import SettingsError

TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - the grammar's token (RFC 9110 section 5.6.2)
FILE = "file:"
EVERY_ADDRESS = "dns+"  # before a URL: each address of its host is meant
_HOST = re.compile(r"[a-z0-9_.-]+(:[0-9]{1,5})?|[0-9a-f:.]+|\[[0-9a-f:.]+\]:[0-9]{1,5}")  # with a port, or without
SUFFIX = "_FILE"  # NAME_FILE names the file with the value of NAME, a convention of container images


def is_set(environ: Mapping[str, str], name: str) -> bool:
    """Whether the variable has a value, directly or in a file."""
    return any(environ.get(variable, "").strip() for variable in (name, name + SUFFIX))


def optional(environ: Mapping[str, str], name: str) -> str | None:
    """The value of ``NAME``, or the content of the file that ``NAME_FILE`` names.

    Raises:
        SettingsError: if both are set, or the file cannot be read or is empty.
    """
    value, path = (environ.get(variable, "").strip() or None for variable in (name, name + SUFFIX))
    if path is None:
        return value
    if value is not None:
        raise SettingsError(f"{name} and {name}{SUFFIX}", "are both set; leave one out")
    return _content(name + SUFFIX, path)


def required(environ: Mapping[str, str], name: str) -> str:
    """The value of a variable that must be set."""
    value = optional(environ, name)
    if value is None:
        raise SettingsError(name, "is not set")
    return value


def secret(environ: Mapping[str, str], name: str) -> str | None:
    """A value that may also be ``file:PATH``."""
    value = optional(environ, name)
    return _content(name, value.removeprefix(FILE)) if value and value.startswith(FILE) else value


def _content(name: str, path: str) -> str:
    try:
        text = Path(path).read_text().strip()
    except OSError as exc:
        raise SettingsError(name, f"cannot be read: {path}: {exc.strerror}") from exc
    except UnicodeDecodeError as exc:
        raise SettingsError(name, f"cannot be read: {path} is not text") from exc
    if not text:
        raise SettingsError(name, f"cannot be used: {path} is empty")
    return text


def number(
    environ: Mapping[str, str],
    name: str,
    default: float,
    least: float,
    most: float,
    *,
    whole: bool = True,
) -> float:
    """A number within its bounds."""
    text = optional(environ, name)
    if text is None:
        return default
    kind = "a whole number" if whole else "a number"
    if not re.fullmatch(r"[0-9]{1,9}" if whole else r"[0-9]{1,9}(\.[0-9]{1,9})?", text):
        raise SettingsError(name, f"must be {kind} from {least} to {most}, not {text!r}")
    value = float(text)
    if not least <= value <= most:
        raise SettingsError(name, f"must be {kind} from {least} to {most}, not {text}")
    return value


def choice(environ: Mapping[str, str], name: str, default: str, *others: str) -> str:
    """One of several words, in any case."""
    text = optional(environ, name)
    if text is None:
        return default
    for allowed in (default, *others):
        if text.casefold() == allowed.casefold():
            return allowed
    raise SettingsError(name, f"must be one of {', '.join((default, *others))}, not {text!r}")


def rate(environ: Mapping[str, str], name: str, default: str) -> str | None:
    """A rate such as ``600/minute``; ``None`` for no limit."""
    text = (optional(environ, name) or default).lower()
    if text == "off":
        return None
    if not re.fullmatch(r"[1-9][0-9]{0,8}/(second|minute|hour|day)", text):
        raise SettingsError(name, f"must be like 600/minute, or off, not {text!r}")
    return text


def words(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Several values, separated by white space or commas."""
    return tuple(word for word in re.split(r"[\s,]+", optional(environ, name) or "") if word)


def hosts(environ: Mapping[str, str], name: str) -> frozenset[str]:
    """A list of ``HOST`` or ``HOST:PORT``, in small letters."""
    values = frozenset(map(str.lower, words(environ, name)))
    for value in sorted(values):
        if not _HOST.fullmatch(value):
            raise SettingsError(
                name, f"must be HOST or HOST:PORT, as in crm.internal:8080 or [fd00::1]:80, not {value!r}"
            )
    return values


def header_names(environ: Mapping[str, str], name: str) -> frozenset[str]:
    """Names of request headers. In requests with cookies, ``*`` is no wildcard but a name."""
    values = words(environ, name)
    for word in values:
        if not re.fullmatch(TOKEN, word) or word == "*":
            raise SettingsError(name, f"must be names of headers, separated by spaces or commas, not {word!r}")
    return frozenset(values)


def cookie_name(environ: Mapping[str, str], name: str) -> str | None:
    """A cookie's name (RFC 6265 section 4.1.1)."""
    value = optional(environ, name)
    if value and not re.fullmatch(TOKEN, value):
        raise SettingsError(name, f"must be the name of a cookie, not {value!r}")
    return value


def origins(environ: Mapping[str, str], name: str) -> frozenset[str]:
    """Origins in the form of browsers: no path, no default port, no wildcard. Others match nothing or too much."""
    origins = frozenset(re.split(r"[\s,]+", optional(environ, name) or "")) - {""}
    for origin in origins:
        match = re.fullmatch(r"(https?)://([a-z0-9._-]+|\[[0-9a-f:]+\])(?::([1-9][0-9]{0,4}))?", origin)
        if not match or (match[1], match[3]) in (("http", "80"), ("https", "443")):
            raise SettingsError(name, f"must be like https://app.example.com, without a path, not {origin!r}")
    return origins


def public_url(environ: Mapping[str, str], name: str) -> str | None:
    """The URL of a site or of a path below it, without a trailing slash."""
    value = optional(environ, name)
    if value is None:
        return None
    if not re.fullmatch(r"https?://([A-Za-z0-9._-]+|\[[0-9a-f:]+\])(:[1-9][0-9]{0,4})?(/[A-Za-z0-9._~-]+)*/?", value):
        raise SettingsError(name, f"must be like https://example.com/notify, not {value!r}")
    return value.rstrip("/")


def grip_urls(environ: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Control addresses, one for each proxy node."""
    value = secret(environ, name)
    if value is None:
        raise SettingsError(name, "is not set")
    urls = tuple(re.split(r"[\s,]+", value))
    for url in urls:
        if not _is_address(url.removeprefix(EVERY_ADDRESS), ("http", "https")):
            raise SettingsError(name, "must be http(s)://HOST:PORT or dns+http(s)://HOST:PORT, one or several")
        if url.startswith(EVERY_ADDRESS) and not (urlsplit(url).port and _is_name(urlsplit(url).hostname or "")):
            raise SettingsError(name, "must have a host name and a port after dns+")
    return urls


def stats_urls(environ: Mapping[str, str], name: str, grip_url: Sequence[str]) -> tuple[str, ...]:
    """Addresses of the nodes' statistics: none, or one for each control address."""
    value = optional(environ, name)
    urls = tuple(re.split(r"[\s,]+", value)) if value else ()
    for url in urls:
        plain = url.removeprefix(EVERY_ADDRESS)
        if not _is_address(plain, ("tcp",)) or not urlsplit(plain).port or urlsplit(plain).path:
            raise SettingsError(name, "must be tcp://HOST:PORT, one for each node of GRIP_URL")
    if urls and len(urls) != len(grip_url):
        raise SettingsError(name, f"names {len(urls)} nodes and GRIP_URL {len(grip_url)}: give both the same, in order")
    for url, node in zip(urls, grip_url, strict=bool(urls)) if urls else ():
        hosts = [urlsplit(item).hostname if item.startswith(EVERY_ADDRESS) else None for item in (url, node)]
        if hosts[0] != hosts[1]:
            raise SettingsError(name, "must have dns+ and the same host where GRIP_URL has")
    return urls


def _is_name(host: str) -> bool:
    try:
        return not ip_address(host)
    except ValueError:
        return bool(host)


def _is_address(url: str, schemes: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def check_jwks_url(environ: Mapping[str, str], value: str) -> None:
    """Refuse a key set over plain HTTP in a public network, where a modified one could sign for any user.

    Raises:
        ValueError: if it is no URL, or of plain HTTP in a public network.
    """
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0:
        raise ValueError("must be https://HOST/PATH")
    if parts.scheme == "http" and parts.hostname not in words(environ, "JWT_JWKS_HTTP_HOSTS"):
        with suppress(socket.gaierror):  # a name that does not resolve yet is checked at the fetch
            require_private(parts.hostname)


def database_url(environ: Mapping[str, str]) -> str:
    """``DATABASE_URL``, with ``DATABASE_PASSWORD`` as its password if that is set.

    Raises:
        SettingsError: if the URL is missing or unusable, or has no place for the password.
    """
    url, password = secret(environ, "DATABASE_URL"), secret(environ, "DATABASE_PASSWORD")
    if url is None:
        raise SettingsError("DATABASE_URL", "is not set")
    if password is not None:
        match = re.fullmatch(r"(postgres[a-z0-9+]*://[^:@/?]+)(@.*)", url, re.DOTALL)
        if match is None:
            raise SettingsError("DATABASE_PASSWORD", "needs a DATABASE_URL like postgresql://USER@HOST/NAME")
        url = f"{match[1]}:{quote(password, safe='')}{match[2]}"
    read(url)
    return url


def schema_name(environ: Mapping[str, str]) -> str | None:
    """``DATABASE_SCHEMA``, or the ``?schema=`` of ``DATABASE_URL``: an unquoted name of PostgreSQL.

    Raises:
        SettingsError: if it is not such a name, or the two differ.
    """
    name, of_url = optional(environ, "DATABASE_SCHEMA"), read(database_url(environ)).schema
    if name and not SCHEMA_NAME.fullmatch(name):
        raise SettingsError(
            "DATABASE_SCHEMA", f"must be 1 to 63 of a-z, 0-9 and _, not beginning with a digit or pg_, not {name!r}"
        )
    if name and of_url and name != of_url:
        raise SettingsError("DATABASE_SCHEMA", f"is {name!r}, but DATABASE_URL has ?schema={of_url}")
    return name or of_url
