"""The commands that run a process of the service until it is stopped."""

import signal
import sys
import threading
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import click

from shirase import logs, metrics
from shirase.errors import SettingsError, ShiraseError
from shirase.inbox import draining
from shirase.inbox.services import wire
from shirase.keys import key_bytes
from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from shirase.run import node, proxy, self_drain, supervisor
from shirase.run.cli.options import DATA_DIR, INBOX, ROUTE, one_line
from shirase.run.data_directory import make_private
from shirase.run.environment import chosen, load
from shirase.run.standby import Standby
from shirase.settings import ProxySettings, Settings
from shirase.store.database import Database


@click.command("up")
@click.option("--port", default=7999, show_default=True, help="For clients; those after it are used too.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address that clients connect to.")
@DATA_DIR
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Gunicorn workers.")
@click.option("--demo/--no-demo", default=False, help="Serve a page to try everything in, with keys of its own.")
@ROUTE
@INBOX
@one_line
def run_up(*, routes: tuple[str, ...], inboxes: tuple[str, ...], **options: Any) -> None:
    """Run Pushpin, gunicorn and the relay in the foreground."""
    mounts, prefixes = node.read_mounts(routes), node.read_inboxes(inboxes)
    sys.exit(supervisor.up(supervisor.UpOptions(**options, mounts=mounts, inboxes=prefixes)))


@click.command("proxy")
@click.option("--origin", required=True, help="HOST:PORT of the handlers.")
@click.option("--port", default=7999, show_default=True, help="For clients; the other ports follow from it.")
@click.option("--host", default="0.0.0.0", show_default=True, help="The address that clients connect to.")  # noqa: S104
@click.option("--control-host", default="127.0.0.1", show_default=True, help="Never one that the internet reaches.")
@click.option("--control-url", help="The control port as GRIP_URL has it; by default http://CONTROL_HOST:PORT+2.")
@click.option(
    "--drain",
    "drained_over",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0, 3600),
    help="Seconds over which its streams move to other nodes before it stops; 0: they end with it.",
)
@ROUTE
@INBOX
@DATA_DIR
@one_line
def run_proxy(
    *,
    origin: str,
    port: int,
    host: str,
    control_host: str,
    control_url: str | None,
    drained_over: float,
    routes: tuple[str, ...],
    inboxes: tuple[str, ...],
    data_dir: Path,
) -> None:
    """Run one Pushpin node in the foreground; its control port is --port + 2."""
    mounts = node.read_mounts(routes)
    make_private(data_dir)
    settings = ProxySettings.from_env(load(data_dir))
    control_address = node.address_of("--control-host", control_host)
    name = node.name_of(control_url, control_address, port + 2)
    if drained_over and name is None:
        raise SettingsError("--drain", "needs --control-url, by which the handlers know this node")
    with Standby(origin, settings, mounts, name) as standby:
        config = node.ProxyConfig(
            origin=origin,
            standby=standby.address,
            sig_key=settings.pushpin_sig_key,
            run_dir=node.run_directory(data_dir),
            client_host=host,
            client_port=port,
            control_host=control_address,
            control_port=port + 2,
            stats_port=port + 3,
            prometheus_port=port + 4,
            mounts=mounts,
            inboxes=node.read_inboxes(inboxes),
        )
        key = key_bytes(settings.pushpin_sig_key)
        drain = partial(self_drain.drain, config, name, key, drained_over) if name and drained_over else None
        sys.exit(proxy.run_proxy(config, drain))


@click.command("relay")
@click.option("--metrics-port", type=click.IntRange(1, 65_535), help="Serve /metrics of this process here.")
@click.option("--metrics-host", default="127.0.0.1", show_default=True, help="Never one that the internet reaches.")
@one_line
def run_relay(metrics_port: int | None, metrics_host: str) -> None:
    """Publish what was left unpublished, and maintain the registry of connections; any number may run."""
    settings = Settings.from_env(chosen(), tokens=False)
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


@click.command("drain")
@click.argument("name", metavar="NODE")
@click.option("--over", default=60.0, show_default=True, type=click.FloatRange(0, 3600), help="Seconds.")
@click.option("--undo", is_flag=True, help="Let the node take new streams again.")
@DATA_DIR
@one_line
def run_drain(*, name: str, over: float, undo: bool, data_dir: Path) -> None:
    """Move the streams of a node to the others, spread over some time; then it can be stopped."""
    settings = Settings.from_env(load(data_dir), tokens=False)
    publisher = Publisher(settings)
    with closing(Database(settings.database_url, settings.database_timeout, settings.database_schema)) as database:
        result = draining.find(database, publisher, name, is_undone=undo)
        if undo:
            draining.undo(database, result)
            click.echo(f"{result} takes new streams again")
            return
        moved = draining.drain(database, publisher, result, over, _show_drain)
    click.echo(f"\n{result} is drained: {moved} streams have moved, and it takes no new ones for an hour; stop it")


def _show_drain(moved: int, left: int) -> None:
    click.echo(f"\r{moved} streams have moved, {left} are left ", nl=False, err=True)
