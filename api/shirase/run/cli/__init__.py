"""The ``shirase`` command."""

import click

from shirase.run.cli.admin import migrate, push_key, run_doctor, run_import, run_types, token
from shirase.run.cli.deliveries import run_deliveries
from shirase.run.cli.notifications import announce, disconnect, listen, retract, run_trace, send
from shirase.run.cli.processes import run_drain, run_proxy, run_relay, run_up
from shirase.run.cli.users import run_user
from shirase.run.cli.webhooks import run_webhook

COMMANDS: tuple[click.Command, ...] = (
    run_up,
    run_proxy,
    run_relay,
    run_drain,
    migrate,
    token,
    push_key,
    run_doctor,
    run_import,
    run_types,
    send,
    announce,
    retract,
    listen,
    disconnect,
    run_trace,
    run_deliveries,
    run_user,
    run_webhook,
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="shirase")
def main() -> None:
    """Shirase: real-time notifications over Server-Sent Events."""


for command in COMMANDS:
    main.add_command(command)
