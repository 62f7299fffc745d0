"""The ``shirase`` command."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click
import orjson

from shirase import logs, metrics
from shirase.access import tokens
from shirase.catalogue import Catalogue
from shirase.client.client import Client, ClientError
from shirase.errors import FieldError, Invalid, SettingsError, ShiraseError
from shirase.inbox import imports
from shirase.inbox.services import wire
from shirase.relay import repair
from shirase.run import announcing, node, payload_types, proxy, supervisor, trace
from shirase.run.data_directory import make_private
from shirase.run.doctor import client_path, parts
from shirase.run.doctor.findings import examine
from shirase.run.environment import load
from shirase.run.standby import Standby
from shirase.settings import ProxySettings, Settings, TokenSettings
from shirase.store import migrate as migrations
from shirase.store import schema
from shirase.store.database import Database
from shirase.variables import database_url, is_set, schema_name, secret

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
    help="Pass what begins with this path to another application, such as a Django site.",
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
DOCTOR = "shirase-doctor"  # the user that `shirase doctor` sends to, unless a token names another
DEFAULT_URL = "http://127.0.0.1:7999"
ATTEMPTS = 3  # of send, over about two seconds, because a person waits
CLI_TTL = 3600  # lifetime in seconds of the tokens of send and listen


def _one_line(command: Callable[..., None]) -> Callable[..., None]:
    """End with one clear line instead of a traceback when the operator can fix the error."""

    @wraps(command)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
        except (ShiraseError, ClientError) as exc:
            click.echo(f"shirase: {exc}", err=True)
            sys.exit(2 if isinstance(exc, SettingsError) else 1)

    return wrapper


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="shirase")
def main() -> None:
    """Shirase: real-time notifications over Server-Sent Events."""


@main.command("up")
@click.option("--port", default=7999, show_default=True, help="For clients; the four after it are used too.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address that clients connect to.")
@DATA_DIR
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Gunicorn workers.")
@click.option("--demo/--no-demo", default=False, help="Serve a page to try everything in, with keys of its own.")
@ROUTE
@INBOX
@_one_line
def run_up(*, routes: tuple[str, ...], inboxes: tuple[str, ...], **options: Any) -> None:
    """Run Pushpin, gunicorn and the relay in the foreground."""
    mounts, prefixes = node.read_mounts(routes), node.read_inboxes(inboxes)
    sys.exit(supervisor.up(supervisor.UpOptions(**options, mounts=mounts, inboxes=prefixes)))


@main.command("proxy")
@click.option("--origin", required=True, help="HOST:PORT of the handlers.")
@click.option("--port", default=7999, show_default=True, help="For clients; the other ports follow from it.")
@click.option("--host", default="0.0.0.0", show_default=True, help="The address that clients connect to.")  # noqa: S104
@click.option("--control-host", default="127.0.0.1", show_default=True, help="Never one that the internet reaches.")
@ROUTE
@INBOX
@DATA_DIR
@_one_line
def run_proxy(
    *,
    origin: str,
    port: int,
    host: str,
    control_host: str,
    routes: tuple[str, ...],
    inboxes: tuple[str, ...],
    data_dir: Path,
) -> None:
    """Run one Pushpin node in the foreground; its control port is --port + 2."""
    mounts = node.read_mounts(routes)
    make_private(data_dir)
    settings = ProxySettings.from_env(load(data_dir))
    with Standby(origin, settings, mounts) as standby:
        config = node.ProxyConfig(
            origin=origin,
            standby=standby.address,
            sig_key=settings.pushpin_sig_key,
            run_dir=node.run_directory(data_dir),
            client_host=host,
            client_port=port,
            control_host=node.address_of("--control-host", control_host),
            control_port=port + 2,
            stats_port=port + 3,
            prometheus_port=port + 4,
            mounts=mounts,
            inboxes=node.read_inboxes(inboxes),
        )
        sys.exit(proxy.run_proxy(config))


@main.command()
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if a migration is due.")
@DATA_DIR
@_one_line
def migrate(*, check: bool, data_dir: Path) -> None:
    """Bring the database to the newest schema."""
    environ = load(data_dir)
    url, name = database_url(environ), schema_name(environ)
    if not check:
        migrations.migrate(url, name)
    with closing(Database(url, schema=name)) as opened, opened.autocommit() as db:
        state = schema.read(db, name)
    click.echo(str(state))
    sys.exit(0 if state.is_usable else 1)


@main.command()
@USER
@click.option("--scope", default="", help='Space-separated, such as "notifications:write".')
@click.option("--ttl", type=click.IntRange(1, 10 * 365 * 86_400), default=3600, show_default=True, help="Seconds.")
@DATA_DIR
@_one_line
def token(user_id: str, scope: str, ttl: int, data_dir: Path) -> None:
    """Print a signed token for development and scripts."""
    tokens.check_user_id(user_id)
    click.echo(tokens.mint(TokenSettings.from_env(load(data_dir)), user_id, scope=scope, ttl=ttl))


def _content(command: Callable[..., None]) -> Callable[..., None]:
    """The options for the content of a notification or an announcement."""
    for option in reversed(
        (
            click.option("--type", "type_", required=True, help="Such as interview.scheduled."),
            click.option("--title", required=True),
            click.option("--message", required=True),
            click.option("--payload", default="{}", show_default=True, help="A JSON object."),
            click.option("--key", help="Replace the user's present notification of this key."),
            click.option("--fold", is_flag=True, help="With --key: count it to the present one while that is unread."),
            click.option("--quiet", is_flag=True, help="With --key: leave the present one read, and where it is."),
            click.option("--url", "link", help="Where the notification leads: a path, or an http(s) address."),
            click.option("--icon", help="A picture, as an address of the same kinds."),
            click.option("--category", help="Such as orders."),
            click.option("--priority", type=click.Choice(["low", "normal", "high"])),
        )
    ):
        command = option(command)
    return command


@main.command()
@USER
@_content
@click.option("--send-at", type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]), help="Such as 2027-01-01T09:00:00+0000.")
@TOKEN
@SERVICE
@DATA_DIR
@_one_line
def send(*, send_at: datetime | None, data_dir: Path, service: str | None, token: str | None, **given: Any) -> None:
    """Create a notification through the API."""
    fields = _fields(given)
    with _client(load(data_dir), "shirase-send", tokens.WRITE, url=service, token=token) as client:
        if send_at:
            click.echo(_json(client.schedule(send_at, **fields)))
        else:
            click.echo(_json(client.create(**fields)))


@main.command()
@click.option("--topic", default="everyone", show_default=True, help="Everyone of this topic.")
@click.option("--for-newcomers", is_flag=True, help="Also for users who appear, or join the topic, later.")
@_content
@click.option("--wait", default=30.0, show_default=True, help="Seconds to show the progress; 0 shows none.")
@TOKEN
@SERVICE
@DATA_DIR
@_one_line
def announce(*, wait: float, data_dir: Path, service: str | None, token: str | None, **given: Any) -> None:
    """Announce something to everyone of a topic, and show how many users it reaches."""
    with _client(load(data_dir), "shirase-announce", tokens.WRITE, url=service, token=token) as client:
        made = client.announce(**_fields(given))
        if wait > 0:
            made = announcing.follow(client, made, wait, lambda line: click.echo(f"\r{line} ", nl=False, err=True))
            click.echo(f"\n{announcing.outcome(made)}", err=True)
        click.echo(_json(made))


def _fields(given: dict[str, Any]) -> Any:
    """The fields of a notification, from the options."""
    try:
        payload = orjson.loads(given["payload"])
    except ValueError as exc:
        raise Invalid(FieldError("--payload", f"is not JSON: {exc}")) from exc
    named = {"url" if name == "link" else name.rstrip("_"): value for name, value in given.items()}
    return {name: value for name, value in named.items() if value not in (None, False)} | {"payload": payload}


@main.command()
@click.argument("key")
@click.option("--user", "user_id", help="Whose; everyone's without it.")
@TOKEN
@URL
@DATA_DIR
@_one_line
def retract(*, key: str, user_id: str | None, data_dir: Path, **where: Any) -> None:
    """Retract what was sent under a key."""
    with _client(load(data_dir), "shirase-retract", tokens.WRITE, **where) as client:
        client.retract(key, user_id=user_id)


@main.command()
@USER
@click.option("--after", "cursor", help="Resume behind this cursor.")
@TOKEN
@URL
@DATA_DIR
@_one_line
def listen(*, user_id: str, cursor: str | None, data_dir: Path, **where: Any) -> None:
    """Open the stream and print the events, one a line, until Ctrl-C."""
    tokens.check_user_id(user_id)
    client = _client(load(data_dir), user_id, "", **where)
    try:
        for event in client.listen(cursor):
            click.echo(_json(event))
    except KeyboardInterrupt:
        click.echo(err=True)


@main.command()
@USER
@TOKEN
@URL
@DATA_DIR
@_one_line
def disconnect(*, user_id: str, data_dir: Path, **where: Any) -> None:
    """End all streams of a user at once, on every node."""
    tokens.check_user_id(user_id)
    closed = _client(load(data_dir), "shirase-disconnect", tokens.ADMIN, **where).disconnect(user_id)
    click.echo(f"{closed} ended")


@main.group("user")
def run_user() -> None:
    """What is stored about a user."""


@run_user.command("erase")
@click.argument("user_id", metavar="ID")
@click.option("--wait", default=60.0, show_default=True, help="Seconds to wait for the end; the relay continues after.")
@TOKEN
@URL
@DATA_DIR
@_one_line
def erase_user(*, user_id: str, wait: float, data_dir: Path, **where: Any) -> None:
    """End a user's streams and remove everything that is stored about them."""
    tokens.check_user_id(user_id)
    with _client(load(data_dir), "shirase-user", tokens.ADMIN, **where) as client:
        until = time.monotonic() + wait
        while not (erased := client.erase_user(user_id)) and time.monotonic() < until:
            pass
    click.echo("erased" if erased else "not complete yet: the relay continues, or repeat this command")
    sys.exit(not erased)


@run_user.command("export")
@click.argument("user_id", metavar="ID")
@TOKEN
@URL
@DATA_DIR
@_one_line
def export_user(*, user_id: str, data_dir: Path, **where: Any) -> None:
    """Print everything that is stored about a user, a row a line as JSON."""
    tokens.check_user_id(user_id)
    with _client(load(data_dir), "shirase-user", tokens.ADMIN, **where) as client:
        for row in client.export_user(user_id):
            click.echo(_json(row))


@main.command("trace")
@click.argument("number", metavar="ID", type=click.IntRange(0, 2**63 - 1))
@click.option("--announcement", is_flag=True, help="The ID is that of an announcement.")
@TOKEN
@URL
@DATA_DIR
@_one_line
def run_trace(*, number: int, announcement: bool, data_dir: Path, **where: Any) -> None:
    """Print the trace of a notification, step by step, or of an announcement."""
    scope = tokens.WRITE if announcement else tokens.ADMIN
    client = _client(load(data_dir), "shirase-trace", scope, **where)
    answer = announcing.lines(client.announcement(number)) if announcement else trace.lines(client.trace(number))
    click.echo("\n".join(answer))


@main.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@DATA_DIR
@_one_line
def run_import(file: str, data_dir: Path) -> None:
    """Import notifications that another system has sent, from JSON lines; - reads standard input."""
    settings = Settings.from_env(load(data_dir), tokens=False)
    size = 0 if file == "-" else Path(file).stat().st_size  # unknown for standard input
    with (
        closing(Database(settings.database_url, settings.database_timeout, settings.database_schema)) as opened,
        click.open_file(file, "rb") as lines,
        _progress_bar(size) as bar,
    ):
        count = imports.import_lines(opened, lines, settings.retention_days, bar.update)
    click.echo(f"{count.imported} imported, {count.present} present before, {count.outdated} too old to keep")


@main.group("types")
def run_types() -> None:
    """The catalogue of types."""


@run_types.command("write")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--typescript", type=click.Path(dir_okay=False, path_type=Path), help="Declares Payloads of shirase.")
@click.option("--python", type=click.Path(dir_okay=False, path_type=Path), help="A TypedDict of each payload.")
@_one_line
def write_types(file: Path, typescript: Path | None, python: Path | None) -> None:
    """Write the payloads' types from the schemas of a catalogue; with neither option, print TypeScript."""
    catalogue = Catalogue.read(file)
    if typescript:
        typescript.write_text(payload_types.typescript(catalogue))
    if python:
        python.write_text(payload_types.python(catalogue))
    if not typescript and not python:
        click.echo(payload_types.typescript(catalogue), nl=False)


@main.command("doctor")
@TOKEN
@URL
@INBOX
@DATA_DIR
@_one_line
def run_doctor(*, url: str | None, token: str | None, inboxes: tuple[str, ...], data_dir: Path) -> None:
    """Check a running service: one line and one fix for each part; exit 0 only if nothing failed."""
    environ = load(data_dir)
    token = token or secret(environ, "SHIRASE_TOKEN")
    settings = Settings.from_env(environ, tokens=not token)
    token = token or tokens.mint(settings, DOCTOR, scope=tokens.WRITE)
    issuer = TokenSettings.from_env(environ) if is_set(environ, "JWT_JWKS_URL") else None
    address, prefixes = url or environ.get("SHIRASE_URL") or DEFAULT_URL, node.read_inboxes(inboxes)
    failed = False
    with (
        closing(parts.Parts(settings, issuer)) as local,
        closing(client_path.ClientPath(address, token, local.clock, prefixes)) as path,
    ):
        for finding in examine([*local.checks(), *path.checks()]):
            click.echo(str(finding))
            failed |= finding.failed
    sys.exit(int(failed))


@main.command("relay")
@click.option("--metrics-port", type=click.IntRange(1, 65_535), help="Serve /metrics of this process here.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Never one that the internet reaches.")
@_one_line
def run_relay(metrics_port: int | None, metrics_host: str) -> None:
    """Publish what was left unpublished, and maintain the registry of connections; any number may run."""
    settings = Settings.from_env(os.environ, tokens=False)
    logs.configure(settings)
    if metrics_port:
        try:
            metrics.serve(metrics_host, metrics_port)
        except OSError as exc:
            raise ShiraseError(f"port {metrics_port} cannot be used: {exc.strerror}") from exc
    services = wire(settings)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    repair.run(settings, services.database, services.publisher, stop)


def _client(environ: dict[str, str], user_id: str, scope: str, *, url: str | None, token: str | None) -> Client:
    token = token or secret(environ, "SHIRASE_TOKEN")
    if not token:
        token = tokens.mint(TokenSettings.from_env(environ), user_id, scope=scope, ttl=CLI_TTL)
    try:
        return Client(url or environ.get("SHIRASE_URL") or DEFAULT_URL, token, attempts=ATTEMPTS)
    except ValueError as exc:
        raise ClientError(str(exc)) from exc


def _progress_bar(size: int) -> Any:
    """A progress bar; hidden for standard input, whose length is unknown."""
    return click.progressbar(length=size or sys.maxsize, label="importing", file=sys.stderr, show_percent=bool(size))


def _json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()
