"""One Pushpin node: the installed release, its configuration, and its command."""

import base64
import hashlib
import os
import re
import resource
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from string import Template

from shirase.addresses import resolve
from shirase.errors import ProxyMissing, SettingsError
from shirase.inbox.streams import PATH
from shirase.keys import key_bytes
from shirase.resources import directory

CONNMGR = (1, 40)  # the first release whose services are connmgr, proxy and handler
VERSION_TIMEOUT = 10  # seconds
# Timer slack in seconds. Each held stream has a timer for its heartbeat, and separate wake-ups for them are most of an
# idle node's cost. Publishes and requests do not wait for timers.
SLACK = 0.05
INHERITED = ("HOME", "LANG", "LD_LIBRARY_PATH", "LD_PRELOAD", "PATH", "TMPDIR", "TZ")
LONGEST_SOCKET_NAME = 40  # the length of pushpin-connmgr-client-out-stream, with a margin
UNIX_PATH_MAX = 103  # the shortest limit among systems for the path of a unix socket, in bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """Where one node listens, where it routes requests, and the key that signs them."""

    origin: str  # HOST:PORT of the handlers
    standby: str  # HOST:PORT of the standby, which answers while the handlers do not
    sig_key: str = field(repr=False)
    run_dir: Path  # of this node alone; see run_directory
    client_port: int
    control_port: int
    stats_port: int
    prometheus_port: int
    client_host: str = "127.0.0.1"
    control_host: str = "127.0.0.1"  # an address, not a name; the ports that listen on it have no authentication
    mounts: Mapping[str, str] = field(default_factory=dict)  # by path prefix: the HOST:PORT to route it to
    inboxes: Sequence[
        str
    ] = ()  # prefixes at which applications mount our routes; their streams are routed to the standby

    @property
    def stats_spec(self) -> str:
        """The ZeroMQ address that the node publishes its statistics on."""
        return f"tcp://{_bracketed(self.control_host)}:{self.stats_port}"


def installed_version() -> tuple[int, int]:
    """The release of Pushpin on the PATH.

    Raises:
        ProxyMissing: if there is none, or it does not report its release.
    """
    try:
        answer = subprocess.run(
            ["pushpin", "--version"],  # noqa: S607 - the operator's PATH decides
            capture_output=True,
            text=True,
            timeout=VERSION_TIMEOUT,
            check=False,
        )
    except FileNotFoundError as exc:
        raise ProxyMissing(
            "Pushpin is not installed: `make up` installs it, or install Debian's package `pushpin`"
        ) from exc
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise ProxyMissing(f"Pushpin cannot be run: {exc}") from exc
    match = re.search(r"(\d+)\.(\d+)", answer.stdout)
    if match is None:
        raise ProxyMissing(f"`pushpin --version` does not name a release: {answer.stdout.strip()!r}")
    return int(match[1]), int(match[2])


def run_directory(data_dir: Path, node: str = "run") -> Path:
    """Create a directory for the node whose path fits a unix socket and Pushpin's file format.

    Only this user has access, because it contains the key and the control sockets.
    """
    path = data_dir.resolve() / node
    fits = len(bytes(path)) + LONGEST_SOCKET_NAME <= UNIX_PATH_MAX
    if not (fits and re.fullmatch(r"[\w./-]+", str(path), re.ASCII)):
        name = hashlib.blake2s(bytes(path), digest_size=6).hexdigest()
        path = Path(tempfile.gettempdir()).resolve() / f"shirase-{os.getuid()}-{name}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if status.st_uid != os.getuid() or path.is_symlink():
        raise PermissionError(f"{path} belongs to another user")
    path.chmod(0o700)
    return path


def address_of(option: str, host: str) -> str:
    """The first address of a host, since Pushpin listens on addresses, not on names.

    Raises:
        SettingsError: if the name does not resolve.
    """
    try:
        return resolve(host)[0][1]
    except socket.gaierror as exc:
        raise SettingsError(option, f"{host} has no address: {exc.strerror}") from exc


def name_of(control_url: str | None, control_address: str, control_port: int) -> str | None:
    """The node's name for the handlers: its control port's address as ``GRIP_URL`` has it.

    By default it is where the port listens; ``None`` if that is every address of the machine.

    Raises:
        SettingsError: if the URL is not one.
    """
    if control_url is None:
        is_any = ip_address(control_address).is_unspecified
        return None if is_any else f"http://{_bracketed(control_address)}:{control_port}"
    if not re.fullmatch(r"https?://[^\s,/?#@]{1,200}(/[^\s,?#]{0,50})?", control_url):
        raise SettingsError("--control-url", f"must be http(s)://HOST:PORT, as in GRIP_URL, not {control_url!r}")
    return control_url


def node_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment for Pushpin, without secrets, because clients connect to it directly."""
    return {name: value for name, value in environ.items() if name in INHERITED or name.startswith("LC_")}


def write_configuration(config: ProxyConfig, version: tuple[int, int]) -> list[str]:
    """Write the node's files for that release into its run directory, and return the command that runs it."""
    templates = directory("pushpin")
    services = "connmgr.conf" if version >= CONNMGR else "condure.conf"
    text = (templates / "pushpin.conf").read_text() + (templates / services).read_text()
    values = {
        "run_dir": config.run_dir,
        "client_address": f"{_bracketed(config.client_host)}:{config.client_port}",
        "sig_key": base64.b64encode(key_bytes(config.sig_key)).decode(),
        "control_host": config.control_host,
        "control_port": config.control_port,
        "stats_spec": config.stats_spec,
        "prometheus_address": f"{_bracketed(config.control_host)}:{config.prometheus_port}",
    }
    main = config.run_dir / "pushpin.conf"
    _write_private(main, Template(text).substitute(values))
    write_routes(config)
    return ["pushpin", "--merge-output", f"--config={main}"]


def write_routes(config: ProxyConfig, addresses: Mapping[str, str] | None = None) -> None:
    """Write the routes; ``addresses`` has the targets that replace a HOST:PORT with a name."""
    at = addresses or {}
    template = Template((directory("pushpin") / "routes").read_text())
    routes = template.substitute(origin=at.get(config.origin, config.origin), standby=config.standby)
    for prefix, place in config.mounts.items():
        routes += f"*,path_beg={prefix} {at.get(place, place)} {config.standby}\n"
    routes += "".join(f"*,path_beg={inbox}{PATH} {config.standby}\n" for inbox in config.inboxes)
    _write_private(config.run_dir / "routes", routes)


def read_mounts(options: Iterable[str]) -> dict[str, str]:
    """Parse the other applications behind the proxy: ``/PREFIX/=HOST:PORT``, each.

    Raises:
        SettingsError: if one has another form, or would hide the service's own paths.
    """
    mounts = {}
    for option in options:
        match = re.fullmatch(r"((?:/[A-Za-z0-9._~-]+)+)/?=([A-Za-z0-9._-]+|\[[0-9a-f:]+\]):([0-9]{1,5})", option)
        if match is None:
            raise SettingsError("--route", f"must be like /site/=127.0.0.1:8100, not {option!r}")
        if match[1].split("/")[1] in ("api", ".", ".."):
            raise SettingsError("--route", f"must leave the service its own paths, not take {match[1]}/")
        mounts[f"{match[1]}/"] = f"{match[2]}:{match[3]}"
    return mounts


def read_inboxes(options: Iterable[str]) -> list[str]:
    """Parse the prefixes at which applications mount our routes: ``/PREFIX/``, each.

    Raises:
        SettingsError: if one has another form.
    """
    for option in options:
        if not re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)+/?", option):
            raise SettingsError("--inbox", f"must be like /site/inbox/, not {option!r}")
    return [option.rstrip("/") for option in options]


def raise_file_limit() -> None:
    """Raise the soft limit of open files to the hard limit, since Pushpin does not."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _write_private(path: Path, text: str) -> None:
    # Replaced, not rewritten, so that no reader sees half a file and the old mode does not survive.
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    Path(name).replace(path)
