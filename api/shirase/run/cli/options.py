"""Options, the client and error handling, which the commands share."""

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import click
import orjson

from shirase.access import tokens
from shirase.client.client import Client, ClientError
from shirase.errors import SettingsError, ShiraseError
from shirase.settings import TokenSettings
from shirase.variables import secret

DATA_DIR = click.option(
    "--data-dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var"),
    show_default=True,
    help="Where `shirase up` keeps its data and keys.",
)
USER = click.option("--user", "user_id", required=True, help="The user's id.")
TOKEN = click.option(
    "--token", help="A token that the service accepts; by default SHIRASE_TOKEN, or one that is signed with JWT_SECRET."
)
ROUTE = click.option(
    "--route",
    "routes",
    multiple=True,
    metavar="/PREFIX/=HOST:PORT",
    help="Pass requests below this path to another application, such as a Django site.",
)
INBOX = click.option(
    "--inbox",
    "inboxes",
    multiple=True,
    metavar="/PREFIX/",
    help="Where an application has mounted the streams and the inbox, such as /site/inbox/.",
)
URL = click.option(
    "--service", "--url", "url", help="The proxy's address; by default that of `shirase up` on this data directory."
)
SERVICE = click.option("--service", help="The proxy's address; by default that of `shirase up` on this data directory.")
DEFAULT_URL = "http://127.0.0.1:7999"
ATTEMPTS = 3  # over about two seconds, because a person waits
TTL = 3600  # lifetime in seconds of a token that a command signs for itself


def one_line(command: Callable[..., None]) -> Callable[..., None]:
    """End with one clear line instead of a traceback when the operator can fix the error."""

    @wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (ShiraseError, ClientError) as exc:
            click.echo(f"shirase: {exc}", err=True)
            sys.exit(2 if isinstance(exc, SettingsError) else 1)

    return wrapper


def connect(environ: dict[str, str], user_id: str, scope: str, *, url: str | None, token: str | None) -> Client:
    """A client of the service, with the operator's token or with one that is signed for this user and scope."""
    token = token or secret(environ, "SHIRASE_TOKEN")
    if not token:
        token = tokens.mint(TokenSettings.from_env(environ), user_id, scope=scope, ttl=TTL)
    try:
        return Client(url or environ.get("SHIRASE_URL") or DEFAULT_URL, token, attempts=ATTEMPTS)
    except ValueError as exc:
        raise ClientError(str(exc)) from exc


def as_json(value: Any) -> str:
    """One line of JSON, times in UTC."""
    return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()
