"""The commands about what is stored of a user."""

import sys
import time
from pathlib import Path
from typing import Any

import click

from shirase.access import tokens
from shirase.run.cli.options import DATA_DIR, TOKEN, URL, as_json, connect, one_line
from shirase.run.environment import load


@click.group("user")
def run_user() -> None:
    """What is stored about a user."""


@run_user.command("erase")
@click.argument("user_id", metavar="ID")
@click.option("--wait", default=60.0, show_default=True, help="Seconds to wait for the end; the relay continues after.")
@TOKEN
@URL
@DATA_DIR
@one_line
def erase_user(*, user_id: str, wait: float, data_dir: Path, **service: Any) -> None:
    """End a user's streams and remove everything that is stored about them."""
    tokens.check_user_id(user_id)
    with connect(load(data_dir), "shirase-user", tokens.ADMIN, **service) as client:
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
@one_line
def export_user(*, user_id: str, data_dir: Path, **service: Any) -> None:
    """Print everything that is stored about a user, a row a line as JSON."""
    tokens.check_user_id(user_id)
    with connect(load(data_dir), "shirase-user", tokens.ADMIN, **service) as client:
        for row in client.export_user(user_id):
            click.echo(as_json(row))
