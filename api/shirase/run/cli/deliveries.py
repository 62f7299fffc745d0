"""``shirase deliveries``: deliveries to channels outside the inbox."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import click
from sqlalchemy import Connection

from shirase.policies import CHANNELS
from shirase.run.cli.options import DATA_DIR, one_line
from shirase.run.environment import load
from shirase.store import deliveries
from shirase.store.database import Database
from shirase.types import CANCELLED, DEAD, PENDING, SENT, SKIPPED, Delivery
from shirase.variables import database_url, schema_name

CHANNEL = click.option("--channel", type=click.Choice(CHANNELS), help="Only deliveries on this channel.")


@click.group("deliveries")
def run_deliveries() -> None:
    """List deliveries to channels outside the inbox, and try dead ones again."""


@run_deliveries.command("list")
@click.option("--state", type=click.Choice([PENDING, SENT, SKIPPED, CANCELLED, DEAD]), default=DEAD, show_default=True)
@CHANNEL
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    help="How many to list, the latest first.",
)
@DATA_DIR
@one_line
def list_deliveries(*, state: str, channel: str | None, limit: int, data_dir: Path) -> None:
    """Print deliveries, one a line, without content or address."""
    with _database(data_dir) as db:
        for delivery in deliveries.page(db, state, channel, limit):
            click.echo(line(delivery))


@run_deliveries.command("retry")
@CHANNEL
@DATA_DIR
@one_line
def retry_deliveries(*, channel: str | None, data_dir: Path) -> None:
    """Have the relays try dead deliveries for another day, except those of an outdated content."""
    with _database(data_dir) as db:
        count, replaced = deliveries.retry(db, channel, datetime.now(UTC))
    click.echo(f"{count} are tried again")
    if replaced:
        click.echo(f"{replaced} are cancelled: their notifications were replaced, and have later deliveries")


def line(delivery: Delivery) -> str:
    """A delivery in one line."""
    reason = f": {delivery.reason}" if delivery.reason else ""
    tries = "1 attempt" if delivery.attempts == 1 else f"{delivery.attempts} attempts"
    return (
        f"{delivery.uid} {delivery.channel} {delivery.state} after {tries},"
        f" notification {delivery.notification_id}, created {delivery.created_at:%Y-%m-%d %H:%M:%S}{reason}"
    )


@contextmanager
def _database(data_dir: Path) -> Iterator[Connection]:
    environ = load(data_dir)
    with closing(Database(database_url(environ), schema=schema_name(environ))) as opened, opened.transaction() as db:
        yield db
