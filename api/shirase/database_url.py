"""Parses ``DATABASE_URL``, with several hosts and the parameters of other libraries.

Parameters with a meaning here work; any other is refused in one line that names it. No message quotes the URL or a part
that may belong to the password.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from psycopg import pq
from sqlalchemy import URL

from shirase.errors import SettingsError

NAME = "DATABASE_URL"
SCHEMA_NAME = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
MOST_CONNECTIONS = 1000
DEFAULT_PORT = 5432

_SCHEMES = {"postgres": "postgresql", "postgresql": "postgresql", "sqlite": "sqlite"}
_EXPECTED = "must be sqlite:///FILE or postgresql://USER:PASSWORD@HOST/NAME"
_ESCAPES = "write @ as %40, : as %3A, / as %2F, ? as %3F and # as %23 in a user name or password"
_PARAMETER = re.compile(r"[A-Za-z_]{1,40}")
_SSL = {"true": "require", "1": "require", "false": "disable", "0": "disable", "no-verify": "require"}
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@dataclass(frozen=True, slots=True)
class DatabaseUrl:
    """An address, and the settings from its parameters."""

    url: URL  # for SQLAlchemy; every parameter in it is one of libpq's
    schema: str | None = None  # ?schema=
    behind_pooler: bool = False  # ?pgbouncer=true; otherwise each connection detects it
    connection_limit: int | None = None  # ?connection_limit=, per process


def read(text: str) -> DatabaseUrl:
    """Read an address.

    Raises:
        SettingsError: naming the part that cannot be used.
    """
    scheme, separator, rest = text.strip().partition("://")
    backend = _SCHEMES.get(scheme.partition("+")[0])  # we choose the driver, whichever one the URL names
    if not separator or backend is None:
        raise SettingsError(NAME, _EXPECTED)
    address, _, query = rest.partition("?")
    return _sqlite(address, query) if backend == "sqlite" else _postgresql(rest)


def _sqlite(address: str, query: str) -> DatabaseUrl:
    file = address.removeprefix("/")
    if not address.startswith("/") or file in ("", ":memory:"):
        raise SettingsError(NAME, _EXPECTED)
    if query:
        raise SettingsError(NAME, f"{_named(query)} is for PostgreSQL: SQLite takes no parameters here")
    return DatabaseUrl(URL.create("sqlite", database=file))


def _postgresql(rest: str) -> DatabaseUrl:
    if re.search(r"[\x00-\x20\x7f]|%00", rest):
        raise SettingsError(NAME, "holds a space or a control character; write a space as %20")
    authority, path, query = _parts(rest)
    userinfo, _, hosts = authority.rpartition("@")
    user, colon, password = userinfo.partition(":")
    parameters = _parameters(query)
    own: dict[str, Any] = {}
    for name in _OWN.keys() & parameters.keys():
        _OWN[name](own, name, parameters.pop(name))
    places = _places(hosts, parameters)
    single = places[0] if len(places) == 1 else None
    if len(places) > 1:
        parameters["host"] = ",".join(host for host, _ in places)
        parameters["port"] = ",".join(str(port or DEFAULT_PORT) for _, port in places)
        # A standby is read-only: have libpq try the next host until it reaches the primary.
        parameters.setdefault("target_session_attrs", "read-write")
    url = URL.create(
        "postgresql+psycopg",
        username=unquote(user) or None,
        password=unquote(password) if colon else None,
        host=single[0] or None if single else None,
        port=single[1] if single else None,
        database=unquote(path) or None,
        query=parameters,
    )
    return DatabaseUrl(url, **own)


def _parts(rest: str) -> tuple[str, str, str]:
    """User and hosts; database; parameters."""
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    tail = rest[len(authority) :]
    if "#" in tail or "@" in tail.partition("?")[0]:
        raise SettingsError(NAME, f"cannot be read: {_ESCAPES}")
    path, _, query = tail.partition("?")
    if any("@" in part.partition("=")[0] for part in query.split("&")):
        raise SettingsError(NAME, f"cannot be read: {_ESCAPES}")
    return authority, path.removeprefix("/"), query


def _places(hosts: str, parameters: dict[str, str]) -> list[tuple[str, int | None]]:
    """Every host with its port, from before the path or from the parameters."""
    named = parameters.pop("host", "")
    if hosts and named:
        raise SettingsError(NAME, "names hosts both before the path and as the parameter 'host'")
    places = [_host_and_port(place) for place in (hosts or named).split(",")]
    ports = [_port(port) for port in parameters.pop("port", "").split(",")]
    if len(ports) == 1:
        ports *= len(places)
    if len(ports) != len(places):
        raise SettingsError(NAME, "the parameter 'port' must name one port, or one for each host")
    return [(host, port or instead) for (host, port), instead in zip(places, ports, strict=True)]


def _host_and_port(text: str) -> tuple[str, int | None]:
    if text.startswith("/"):
        return text, None  # a socket's directory
    match = re.fullmatch(r"(?:\[(?P<ip6>[0-9A-Fa-f:.%]+)\]|(?P<host>[^:\[\]]*))(?::(?P<port>[^:]*))?", text)
    if match is None:
        raise SettingsError(NAME, f"has a host that cannot be read: {_ESCAPES}, and an IPv6 address in brackets")
    return match["ip6"] or unquote(match["host"]), _port(match["port"] or "")


def _port(text: str) -> int | None:
    if not text:
        return None
    if not re.fullmatch("[0-9]{1,5}", text) or not 0 < int(text) < 2**16:
        raise SettingsError(NAME, f"has a port that is not a number from 1 to 65535; {_ESCAPES}")
    return int(text)


def _parameters(query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        if not equals or name not in _KNOWN:
            raise SettingsError(NAME, f"{_named(part)} is not known")
        value = unquote(value)
        if name in ("ssl", "sslmode"):
            name, value = "sslmode", _ssl_mode(name, value)
        if name == "host" and name in parameters:
            value = f"{parameters[name]},{value}"  # SQLAlchemy's type for repeated parameters
        elif name in parameters:
            raise SettingsError(NAME, f"has the parameter {name!r} twice")
        parameters[name] = value
    parameters.pop("client_encoding", None)  # the encoding is always UTF-8
    return parameters


def _ssl_mode(name: str, value: str) -> str:
    mode = _SSL.get(value.lower(), value.lower())
    if mode not in _SSL_MODES:
        raise SettingsError(NAME, f"the parameter {name!r} must be one of {', '.join(_SSL_MODES)}")
    return mode


def _named(part: str) -> str:
    """The parameter's name for a message, unless it may be a piece of a password."""
    name = part.partition("=")[0]
    return f"the parameter {name!r}" if _PARAMETER.fullmatch(name) else "one of the parameters"


def _take_schema(own: dict[str, Any], name: str, value: str) -> None:
    if not SCHEMA_NAME.fullmatch(value):
        raise SettingsError(NAME, f"the parameter {name!r} must be 1 to 63 of a-z, 0-9 and _, not beginning with pg_")
    own["schema"] = value


def _take_pgbouncer(own: dict[str, Any], name: str, value: str) -> None:
    if value.lower() not in ("true", "false", "1", "0"):
        raise SettingsError(NAME, f"the parameter {name!r} must be true or false")
    own["behind_pooler"] = bool(own.get("behind_pooler")) or value.lower() in ("true", "1")


def _take_cache_size(own: dict[str, Any], name: str, value: str) -> None:
    """Read asyncpg's parameter, with which its users configure a pooler."""
    if not value.isdecimal():
        raise SettingsError(NAME, f"the parameter {name!r} must be a number")
    own["behind_pooler"] = bool(own.get("behind_pooler")) or int(value) == 0


def _take_limit(own: dict[str, Any], name: str, value: str) -> None:
    if not re.fullmatch("[0-9]{1,4}", value) or not 1 <= int(value) <= MOST_CONNECTIONS:
        raise SettingsError(NAME, f"the parameter {name!r} must be a number from 1 to {MOST_CONNECTIONS}")
    own["connection_limit"] = int(value)


_OWN: Mapping[str, Callable[[dict[str, Any], str, str], None]] = {
    "schema": _take_schema,
    "pgbouncer": _take_pgbouncer,
    "statement_cache_size": _take_cache_size,
    "prepared_statement_cache_size": _take_cache_size,
    "connection_limit": _take_limit,
}
_KNOWN = {"ssl", *_OWN, *(option.keyword.decode() for option in pq.Conninfo.get_defaults())}
