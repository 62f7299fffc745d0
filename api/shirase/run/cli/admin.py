"""The commands of operators and developers: the schema, tokens, the doctor, imports, the catalogue."""

import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from shirase import vapid
from shirase.access import tokens
from shirase.catalogue import Catalogue
from shirase.errors import Invalid, SettingsError
from shirase.inbox import drafts, imports
from shirase.inbox.reach import TypeInput
from shirase.run import node, payload_types
from shirase.run.cli.options import DATA_DIR, DEFAULT_URL, INBOX, TOKEN, URL, USER, connect, one_line
from shirase.run.doctor import client_path, parts, reach
from shirase.run.doctor.findings import examine
from shirase.run.environment import load
from shirase.settings import Settings, TokenSettings
from shirase.store import migrate as migrations
from shirase.store import schema
from shirase.store.database import Database
from shirase.variables import database_url, is_set, optional, schema_name, secret

DOCTOR = "shirase-doctor"  # the user that `shirase doctor` sends to, unless a token names another


@click.command("push-key")
def push_key() -> None:
    """Make the key that identifies the service to push services, as a line for its environment."""
    click.echo(f"VAPID_PRIVATE_KEY={vapid.generate()}")


@click.command()
@click.option("--check", is_flag=True, help="Change nothing; exit 1 if a migration is due.")
@DATA_DIR
@one_line
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


@click.command()
@USER
@click.option("--scope", default="", help='Space-separated, such as "notifications:write".')
@click.option("--ttl", type=click.IntRange(1, 10 * 365 * 86_400), default=3600, show_default=True, help="Seconds.")
@DATA_DIR
@one_line
def token(user_id: str, scope: str, ttl: int, data_dir: Path) -> None:
    """Print a signed token for development and scripts."""
    tokens.check_user_id(user_id)
    settings = TokenSettings.from_env(load(data_dir))
    known = {tokens.WRITE, tokens.ADMIN} | settings.jwt_write_scopes | settings.jwt_admin_scopes
    for name in scope.split():
        if name not in known:
            click.echo(f"shirase: the scope {name!r} grants nothing; known are {', '.join(sorted(known))}", err=True)
    click.echo(tokens.mint(settings, user_id, scope=scope, ttl=ttl))


@click.command("doctor")
@TOKEN
@URL
@INBOX
@DATA_DIR
@one_line
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
        closing(reach.Reach(settings, lambda: local.has_schema)) as outside,
        closing(client_path.ClientPath(address, token, local.clock, prefixes)) as path,
    ):
        for finding in examine([*local.checks(), *outside.checks(), *path.checks()]):
            click.echo(str(finding))
            failed |= finding.failed
    sys.exit(int(failed))


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@DATA_DIR
@one_line
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


def _progress_bar(size: int) -> Any:
    """A progress bar; hidden for standard input, whose length is unknown."""
    return click.progressbar(length=size or sys.maxsize, label="importing", file=sys.stderr, show_percent=bool(size))


@click.group("types")
def run_types() -> None:
    """The catalogue of types."""


@run_types.command("write")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--typescript", type=click.Path(dir_okay=False, path_type=Path), help="Declares Payloads of shirase.")
@click.option("--python", type=click.Path(dir_okay=False, path_type=Path), help="A TypedDict of each payload.")
@one_line
def write_types(file: Path, typescript: Path | None, python: Path | None) -> None:
    """Write the payloads' types from the schemas of a catalogue; with neither option, print TypeScript."""
    catalogue = Catalogue.read(file)
    if typescript:
        typescript.write_text(payload_types.typescript(catalogue))
    if python:
        python.write_text(payload_types.python(catalogue))
    if not typescript and not python:
        click.echo(payload_types.typescript(catalogue), nl=False)


@run_types.command("load")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path), required=False)
@TOKEN
@URL
@DATA_DIR
@one_line
def load_types(*, file: Path | None, data_dir: Path, **service: Any) -> None:
    """Store labels, categories and policies of a catalogue, by default TYPE_CATALOGUE's; types that it lacks stay."""
    environ = load(data_dir)
    if not (path := file or optional(environ, "TYPE_CATALOGUE")):
        raise SettingsError("TYPE_CATALOGUE", "is not set: name the file")
    catalogue = Catalogue.read(Path(path))
    for name, entry in catalogue.types.items():  # before the first is stored
        try:
            drafts.check(TypeInput, entry.stored)
        except Invalid as exc:
            raise SettingsError("TYPE_CATALOGUE", f'{path}: types."{name}".{exc}') from exc
    with connect(environ, "shirase-types", tokens.ADMIN, **service) as client:
        for name, entry in sorted(catalogue.types.items()):
            client.put_type(name, entry.stored)
    click.echo(f"{len(catalogue.types)} types loaded")
