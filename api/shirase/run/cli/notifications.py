"""The commands that call the API: for producers, users and operators."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click
import orjson

from shirase.access import tokens
from shirase.errors import FieldError, Invalid
from shirase.run import announcing, trace
from shirase.run.cli.options import DATA_DIR, SERVICE, TOKEN, URL, USER, as_json, connect, one_line
from shirase.run.environment import load


def _content(command: Callable[..., None]) -> Callable[..., None]:
    """The options for the content of a notification or an announcement."""
    for option in reversed(
        (
            click.option("--type", "type_", required=True, help="Such as interview.scheduled."),
            click.option("--title", required=True),
            click.option("--message", required=True),
            click.option("--payload", default="{}", show_default=True, help="A JSON object."),
            click.option("--key", help="Replace the user's present notification of this key."),
            click.option(
                "--fold", is_flag=True, help="With --key: add to the count of the present one while it is unread."
            ),
            click.option("--quiet", is_flag=True, help="With --key: keep the present one read and in its place."),
            click.option("--url", "link", help="Where the notification leads: a path, or an http(s) address."),
            click.option("--icon", help="A picture, as an address of the same kinds."),
            click.option("--category", help="Such as orders."),
            click.option("--priority", type=click.Choice(["low", "normal", "high"])),
        )
    ):
        command = option(command)
    return command


@click.command()
@USER
@_content
@click.option("--send-at", type=click.DateTime(["%Y-%m-%dT%H:%M:%S%z"]), help="Such as 2027-01-01T09:00:00+0000.")
@TOKEN
@SERVICE
@DATA_DIR
@one_line
def send(*, send_at: datetime | None, data_dir: Path, service: str | None, token: str | None, **content: Any) -> None:
    """Create a notification through the API."""
    fields = _fields(content)
    with connect(load(data_dir), "shirase-send", tokens.WRITE, url=service, token=token) as client:
        if send_at:
            click.echo(as_json(client.schedule(send_at, **fields)))
        else:
            click.echo(as_json(client.create(**fields) or {"muted": True}))


@click.command()
@click.option("--topic", default="everyone", show_default=True, help="The topic whose users get it.")
@click.option("--for-newcomers", is_flag=True, help="Also for users who appear, or join the topic, later.")
@_content
@click.option("--wait", default=30.0, show_default=True, help="Seconds to show the progress; 0 shows none.")
@TOKEN
@SERVICE
@DATA_DIR
@one_line
def announce(*, wait: float, data_dir: Path, service: str | None, token: str | None, **content: Any) -> None:
    """Announce something to everyone of a topic, and show how many users it reaches."""
    with connect(load(data_dir), "shirase-announce", tokens.WRITE, url=service, token=token) as client:
        made = client.announce(**_fields(content))
        if wait > 0:
            made = announcing.follow(client, made, wait, lambda line: click.echo(f"\r{line} ", nl=False, err=True))
            click.echo(f"\n{announcing.outcome(made)}", err=True)
        click.echo(as_json(made))


def _fields(options: dict[str, Any]) -> Any:
    """The fields of a notification, from the options."""
    try:
        payload = orjson.loads(options["payload"])
    except ValueError as exc:
        raise Invalid(FieldError("--payload", f"is not JSON: {exc}")) from exc
    named = {"url" if name == "link" else name.rstrip("_"): value for name, value in options.items()}
    return {name: value for name, value in named.items() if value not in (None, False)} | {"payload": payload}


@click.command()
@click.argument("key")
@click.option("--user", "user_id", help="The user; every user without it.")
@TOKEN
@URL
@DATA_DIR
@one_line
def retract(*, key: str, user_id: str | None, data_dir: Path, **service: Any) -> None:
    """Retract what was sent under a key."""
    with connect(load(data_dir), "shirase-retract", tokens.WRITE, **service) as client:
        client.retract(key, user_id=user_id)


@click.command()
@USER
@click.option("--after", "cursor", help="Resume behind this cursor.")
@TOKEN
@URL
@DATA_DIR
@one_line
def listen(*, user_id: str, cursor: str | None, data_dir: Path, **service: Any) -> None:
    """Open the stream and print the events, one a line, until Ctrl-C."""
    tokens.check_user_id(user_id)
    with connect(load(data_dir), user_id, "", **service) as client:
        try:
            for event in client.listen(cursor):
                click.echo(as_json(event))
        except KeyboardInterrupt:
            click.echo(err=True)


@click.command()
@USER
@TOKEN
@URL
@DATA_DIR
@one_line
def disconnect(*, user_id: str, data_dir: Path, **service: Any) -> None:
    """End all streams of a user at once, on every node."""
    tokens.check_user_id(user_id)
    with connect(load(data_dir), "shirase-disconnect", tokens.ADMIN, **service) as client:
        closed = client.disconnect(user_id)
    click.echo(f"{closed} ended")


@click.command("trace")
@click.argument("number", metavar="ID", type=click.IntRange(0, 2**63 - 1))
@click.option("--announcement", is_flag=True, help="The ID is that of an announcement.")
@TOKEN
@URL
@DATA_DIR
@one_line
def run_trace(*, number: int, announcement: bool, data_dir: Path, **service: Any) -> None:
    """Print the trace of a notification, step by step, or of an announcement."""
    scope = tokens.WRITE if announcement else tokens.ADMIN
    with connect(load(data_dir), "shirase-trace", scope, **service) as client:
        answer = announcing.lines(client.announcement(number)) if announcement else trace.lines(client.trace(number))
    click.echo("\n".join(answer))
