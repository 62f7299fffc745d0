"""``shirase webhook``."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import click
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from shirase.access import tokens
from shirase.errors import ShiraseError
from shirase.inbox import webhooks
from shirase.run.cli.options import DATA_DIR, TOKEN, URL, as_json, connect, one_line
from shirase.run.environment import load
from shirase.settings import Settings
from shirase.store.database import Database

SECRET = click.option(
    "--secret", envvar="SHIRASE_WEBHOOK_SECRET", help="The secret. `ps` shows it; SHIRASE_WEBHOOK_SECRET does not."
)


@click.group("webhook")
def run_webhook() -> None:
    """Create, list, retry and delete webhooks, and verify signatures."""


@run_webhook.command("put")
@click.argument("name")
@click.option("--to", "address", required=True, help="The endpoint's address.")
@click.option("--type", "types", multiple=True, help="A type to send; may be repeated. All types by default.")
@SECRET
@TOKEN
@URL
@DATA_DIR
@one_line
def put_webhook(
    *, name: str, address: str, types: tuple[str, ...], secret: str | None, data_dir: Path, **service: Any
) -> None:
    """Create an endpoint, or change it."""
    with connect(load(data_dir), "shirase-webhook", tokens.ADMIN, **service) as client:
        click.echo(as_json(client.put_webhook(name, address, types=types, secret=secret)))


@run_webhook.command("list")
@TOKEN
@URL
@DATA_DIR
@one_line
def list_webhooks(*, data_dir: Path, **service: Any) -> None:
    """Print the endpoints with their states, one a line."""
    with connect(load(data_dir), "shirase-webhook", tokens.ADMIN, **service) as client:
        for webhook in client.webhooks():
            click.echo(as_json(webhook))


@run_webhook.command("delete")
@click.argument("name")
@TOKEN
@URL
@DATA_DIR
@one_line
def delete_webhook(*, name: str, data_dir: Path, **service: Any) -> None:
    """Delete an endpoint and its queue."""
    with connect(load(data_dir), "shirase-webhook", tokens.ADMIN, **service) as client:
        client.delete_webhook(name)


@run_webhook.command("retry")
@click.argument("name")
@click.option("--skip", is_flag=True, help="Drop the event that failed. Refused if none has.")
@TOKEN
@URL
@DATA_DIR
@one_line
def retry_webhook(*, name: str, skip: bool, data_dir: Path, **service: Any) -> None:
    """Try an endpoint again now, even if it is paused."""
    with connect(load(data_dir), "shirase-webhook", tokens.ADMIN, **service) as client:
        click.echo(as_json(client.retry_webhook(name, skip=skip)))


@run_webhook.command("secret")
@click.argument("name")
@DATA_DIR
@one_line
def webhook_secret(*, name: str, data_dir: Path) -> None:
    """Print an endpoint's secret, read from the database: no answer of the API contains it."""
    settings = Settings.from_env(load(data_dir), tokens=False)
    with closing(Database(settings.database_url, settings.database_timeout, settings.database_schema)) as opened:
        click.echo(webhooks.find(opened, name).secrets[0])


REASONS = {  # by the library's messages
    "Missing required headers": "--id, --timestamp and --signature must not be empty",
    "Invalid Signature Headers": "--timestamp must be a Unix time in seconds",
    "Message timestamp too old": "--timestamp is more than 5 minutes ago: receivers refuse such a request as a replay",
    "Message timestamp too new": "--timestamp is more than 5 minutes ahead: compare the clocks",
    "No matching signature found": "the secret, the id, the timestamp or the body is not what was signed",
}


@contextmanager
def _named(malformed: str) -> Iterator[None]:
    """Explain why the library refuses a request."""
    try:
        yield
    except WebhookVerificationError as exc:
        raise ShiraseError(f"not verified: {REASONS.get(str(exc), exc)}") from exc
    except Exception as exc:  # it has several, for an empty secret, base64 and UTF-8
        raise ShiraseError(f"not verified: {malformed}") from exc


@run_webhook.command("verify")
@click.argument("body", type=click.File("rb"), default="-")
@click.option("--id", "number", required=True, help="The header webhook-id.")
@click.option("--timestamp", required=True, help="The header webhook-timestamp.")
@click.option("--signature", required=True, help="The header webhook-signature.")
@SECRET
@one_line
def verify_webhook(*, body: Any, number: str, timestamp: str, signature: str, secret: str | None) -> None:
    """Check the signature of a request. Its body is a file, or standard input."""
    if not secret:
        raise ShiraseError("--secret or SHIRASE_WEBHOOK_SECRET is needed")
    headers = {"webhook-id": number, "webhook-timestamp": timestamp, "webhook-signature": signature}
    with _named("--secret must be what `shirase webhook secret` prints"):
        webhook = Webhook(secret)
    with _named("--signature must be like v1,K5oZfzN95Z9U…=, and the body UTF-8"):
        webhook.verify(body.read(), headers, json_parse=False)
    click.echo("verified")
    sys.exit(0)
