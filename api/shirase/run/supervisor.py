"""``shirase up``: runs Pushpin, gunicorn and the relay in the foreground and stops them together."""

import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

from shirase import logs
from shirase.access import tickets
from shirase.access.tokens import Identity
from shirase.errors import SettingsError, ShiraseError
from shirase.relay.mail import messages
from shirase.run import demo_mail, environment
from shirase.run.data_directory import keep_settings, locked, make_keys
from shirase.run.node import (
    SLACK,
    ProxyConfig,
    address_of,
    installed_version,
    node_environment,
    raise_file_limit,
    run_directory,
    write_configuration,
)
from shirase.run.processes import Child, gunicorn_command, reap_orphans, relay_command
from shirase.run.readiness import wait_for_stream
from shirase.run.restarts import RestartedChild
from shirase.run.routes import Routes
from shirase.run.standby import Standby
from shirase.settings import TOKEN_KEYS, ProxySettings, Settings
from shirase.store.migrate import migrate
from shirase.variables import is_set

READY_TIMEOUT = 30.0  # seconds until a stream must open
PROBED = 2  # seconds for which the probing stream counts as a connection
CHECK = 0.1  # seconds between two checks of the children
GRACE = {"pushpin": 6.0, "gunicorn": 8.0, "relay": 5.0, "mail": 2.0}  # seconds that each child may take to stop
LOOPBACK, WILDCARDS = "127.0.0.1", ("0.0.0.0", "::")  # noqa: S104 - compared with, never bound to
LAST_PORT = 65535
METRICS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"  # prometheus-client's: where the children keep their metrics
BACKLOG = 2048  # pending connections, gunicorn's own default
CHILDREN = 3  # without the demo's mail server
FAILED, WRONG_SETTING = 1, 2  # exit codes


class StartFailed(ShiraseError):
    """The service cannot start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UpOptions:
    """The command line of ``shirase up``."""

    port: int = 7999  # the first of six: client, origin, control, statistics, Pushpin's own metrics, the demo's mail
    host: str = LOOPBACK  # where clients connect; all other ports are on loopback
    data_dir: Path = Path("var")
    workers: int = 2
    demo: bool = False
    mounts: Mapping[str, str] = field(default_factory=dict)  # as in ProxyConfig
    inboxes: Sequence[str] = ()  # as in ProxyConfig


def up(options: UpOptions) -> int:
    """Run a whole Shirase until SIGINT or SIGTERM; returns the exit code.

    If the start fails, stderr has one line with the reason and no process is left.
    """
    # SIGTERM interrupts the start as Ctrl-C does. Process 1 would ignore it by default.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with locked(options.data_dir):
            _run(options)
    except (ShiraseError, OSError) as exc:
        print(f"shirase: {exc}", file=sys.stderr)
        return WRONG_SETTING if isinstance(exc, SettingsError) else FAILED
    return 0


def _run(options: UpOptions) -> None:
    data_dir = options.data_dir.resolve()
    address = address_of("--host", options.host)
    if options.demo and not ip_address(address).is_loopback:
        raise StartFailed("--demo signs a token for anyone who asks: it listens on loopback only")
    if not ip_address(address).is_loopback:
        _print("clients reach Pushpin itself, which unfinished requests of a few can stop: see SECURITY.md, In front")
    environ = _environment(options, data_dir, address)
    if options.demo and (other := [name for name in TOKEN_KEYS[1:] if is_set(environ, name)]):
        raise StartFailed(f"--demo signs tokens, which {other[0]} does not allow: leave it out, or --demo")
    settings = Settings.from_env(environ)
    if settings.mail:
        messages.load(settings.mail.templates)  # the relay would end at each start, while the service is ready
    version = installed_version()
    handlers = f"{LOOPBACK}:{options.port + 1}"
    node = ProxySettings.from_env(environ)
    control = f"http://{LOOPBACK}:{options.port + 2}"
    with closing(socket.socket()) as origin, Standby(handlers, node, options.mounts, control) as standby:
        proxy = ProxyConfig(
            origin=handlers,
            standby=standby.address,
            sig_key=settings.pushpin_sig_key,
            run_dir=run_directory(data_dir),
            client_host=address,
            client_port=options.port,
            control_port=options.port + 2,
            stats_port=options.port + 3,
            prometheus_port=options.port + 4,
            mounts=options.mounts,
            inboxes=options.inboxes,
        )
        children = [
            Child(name, command, own, f"{data_dir}/{name}", files, slack=slack)
            for name, command, own, files, slack in (
                ("pushpin", write_configuration(proxy, version), node_environment(environ), (), SLACK),
                # We own the socket: while gunicorn restarts, connections wait in its backlog. With a closed port the
                # standby would answer them with 503 for some seconds.
                (
                    "gunicorn",
                    gunicorn_command(f"fd://{origin.fileno()}", options.workers),
                    environ,
                    (origin.fileno(),),
                    0.0,
                ),
                ("relay", relay_command(), environ, (), 0.0),
                *_mail_server(options, environ),
            )
        ]
        for child in children:
            child.kill()  # an earlier run that was killed may have left children behind
        _check_ports(options.port, address, 5 + (len(children) > CHILDREN))
        origin.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        origin.bind((LOOPBACK, options.port + 1))
        origin.listen(BACKLOG)
        _prepare(options, settings, environ)
        with Routes(proxy, children[0]):
            _serve(children, environ["SHIRASE_URL"], lambda: _ready_ticket(settings))


def _prepare(options: UpOptions, settings: Settings, environ: dict[str, str]) -> None:
    _empty(Path(environ[METRICS_DIRECTORY]))
    migrate(settings.database_url, settings.database_schema)
    _print("database migrated")
    if options.demo:
        keep_settings(options.data_dir.resolve(), environ)
    logs.configure(settings)


def _ready_ticket(settings: Settings) -> str:
    """A ticket for a stream that expires soon: the relay is still starting and would not see its end."""
    return tickets.issue(settings, Identity("shirase-ready", expires_at=int(time.time()) + PROBED))


def _serve(children: list[Child], url: str, ticket: Callable[[], str]) -> None:
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _frame: stopping.append(number))
    raise_file_limit()
    with ExitStack() as started:
        restarted = [RestartedChild(child) for child in children]
        for each in restarted:
            # The last started is the first to stop, so clients are disconnected last.
            started.callback(each.child.stop, GRACE[each.child.name])
            each.start()
            _print(f"{each.child.name} started")
        if not wait_for_stream(url, ticket, READY_TIMEOUT, lambda: not stopping and _all_run(children)):
            if stopping:
                return
            ended = [child.name for child in children if child.exit_code() is not None]
            raise StartFailed(f"{', '.join(ended) or 'the service'} did not start; see the lines above")
        _print(f"ready: {url}")
        while not stopping:
            for each in restarted:
                each.tend()
            reap_orphans({child.pid for child in children if child.pid})
            time.sleep(CHECK)
        _print("stopping")


def _empty(directory: Path) -> None:
    """Empty the metrics directory, so that the counts of an earlier run are not added."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(mode=0o700)


def _all_run(children: list[Child]) -> bool:
    return all(child.exit_code() is None for child in children)


def _environment(options: UpOptions, data_dir: Path, address: str) -> dict[str, str]:
    """The settings of every child: the environment, then ``.env``, then what the options imply."""
    url = f"http://{_in_url(LOOPBACK if address in WILDCARDS else address)}:{options.port}"
    chosen = environment.chosen()
    derived = {
        "DATABASE_URL": f"sqlite:///{data_dir}/shirase.db",
        "GRIP_URL": f"http://{LOOPBACK}:{options.port + 2}",
        # With nodes of its own, the operator sets the address of their statistics too.
        **({} if is_set(chosen, "GRIP_URL") else {"PUSHPIN_STATS_URL": f"tcp://{LOOPBACK}:{options.port + 3}"}),
        **(make_keys(data_dir) if options.demo else {}),
        **(demo_mail.environment(chosen, options.port + 5, data_dir / "mail", url) if options.demo else {}),
    }
    return {
        **chosen,
        **{name: value for name, value in derived.items() if not is_set(chosen, name)},
        METRICS_DIRECTORY: f"{data_dir}/metrics",
        "SHIRASE_DEMO": "on" if options.demo else "off",
        "SHIRASE_URL": url,
    }


def _mail_server(
    options: UpOptions, environ: Mapping[str, str]
) -> list[tuple[str, list[str], Mapping[str, str], tuple[int, ...], float]]:
    """The demo's mail server, unless another one is chosen."""
    directory = environ.get("SHIRASE_DEMO_MAIL")
    if not options.demo or not directory:
        return []
    return [("mail", demo_mail.command(options.port + 5, Path(directory)), node_environment(environ), (), 0.0)]


def _check_ports(first: int, address: str, count: int) -> None:
    if not 1 <= first <= LAST_PORT + 1 - count:
        raise StartFailed(f"--port must be from 1 to {LAST_PORT + 1 - count}: the {count - 1} after it are used too")
    for port in range(first, first + count):
        family = socket.AF_INET6 if port == first and ":" in address else socket.AF_INET
        with closing(socket.socket(family)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address if port == first else LOOPBACK, port))
            except OSError as exc:
                raise StartFailed(f"port {port} cannot be used: {exc.strerror}; choose another --port") from exc


def _in_url(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _print(line: str) -> None:
    print(line, flush=True)
