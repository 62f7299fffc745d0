"""One Pushpin node: the release that is installed, the configuration for it, and the command that runs it."""

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
from pathlib import Path
from string import Template

from shirase.addresses import resolve
from shirase.errors import ProxyMissing, SettingsError
from shirase.inbox.streams import PATH
from shirase.keys import key_bytes
from shirase.resources import directory

CONNMGR = (1, 40)  # the first release whose services are connmgr, proxy and handler
VERSION_TIMEOUT = 10  # seconds
# Seconds that its timers may be late. Each held stream has one for its heartbeat, and most of what an idle node takes
# is to be woken for each alone. What is published waits for no timer, and neither does a request.
SLACK = 0.05
INHERITED = ("HOME", "LANG", "LD_LIBRARY_PATH", "LD_PRELOAD", "PATH", "TMPDIR", "TZ")
LONGEST_SOCKET_NAME = 40  # pushpin-connmgr-client-out-stream, with room
UNIX_PATH_MAX = 103  # bytes of a unix socket's path, on the system that allows the fewest


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyConfig:
    """Where one node listens, what it passes requests to, and the key that it signs them with."""

    origin: str  # HOST:PORT of the handlers
    standby: str  # HOST:PORT of the Standby, which answers where they do not
    sig_key: str = field(repr=False)
    run_dir: Path  # of this node alone; see run_directory
    client_port: int
    control_port: int
    stats_port: int
    prometheus_port: int
    client_host: str = "127.0.0.1"
    control_host: str = "127.0.0.1"  # an address, no name; what listens on it has no authentication
    mounts: Mapping[str, str] = field(default_factory=dict)  # what begins with this path goes to that HOST:PORT
    inboxes: Sequence[str] = ()  # where applications have mounted our routes; their streams are opened by the standby

    @property
    def stats_spec(self) -> str:
        """The ZeroMQ address that the node publishes its statistics on."""
        return f"tcp://{_bracketed(self.control_host)}:{self.stats_port}"


def installed_version() -> tuple[int, int]:
    """The release of the Pushpin on the PATH.

    Raises:
        ProxyMissing: if there is none, or it does not say which it is.
    """
    try:
        answer = subprocess.run(
            ["pushpin", "--version"],  # noqa: S607 - the operator's PATH says which
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
    """A directory of the node's own that a unix socket's path and Pushpin's file format can hold.

    It is made with access for this user alone: the key and the control sockets are in it.
    """
    path = data_dir.resolve() / node
    fits = len(bytes(path)) + LONGEST_SOCKET_NAME <= UNIX_PATH_MAX
    if not (fits and re.fullmatch(r"[\w./-]+", str(path), re.ASCII)):
        name = hashlib.blake2s(bytes(path), digest_size=6).hexdigest()
        path = Path(tempfile.gettempdir()).resolve() / f"shirase-{os.getuid()}-{name}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.lstat()
    if found.st_uid != os.getuid() or path.is_symlink():
        raise PermissionError(f"{path} belongs to another user")
    path.chmod(0o700)
    return path


def address_of(option: str, host: str) -> str:
    """The first address of a host: Pushpin listens on addresses and not on names.

    Raises:
        SettingsError: if the name does not resolve.
    """
    try:
        return resolve(host)[0][1]
    except socket.gaierror as exc:
        raise SettingsError(option, f"{host} has no address: {exc.strerror}") from exc


def node_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What Pushpin needs of the environment: no secret, for what clients reach first shall not have one."""
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
    """Write what passes to whom; ``addresses`` has the targets in place of a HOST:PORT that is a name."""
    at = addresses or {}
    template = Template((directory("pushpin") / "routes").read_text())
    routes = template.substitute(origin=at.get(config.origin, config.origin), standby=config.standby)
    for prefix, place in config.mounts.items():
        routes += f"*,path_beg={prefix} {at.get(place, place)} {config.standby}\n"
    routes += "".join(f"*,path_beg={inbox}{PATH} {config.standby}\n" for inbox in config.inboxes)
    _write_private(config.run_dir / "routes", routes)


def read_mounts(options: Iterable[str]) -> dict[str, str]:
    """Which other applications stand behind the proxy: ``/PREFIX/=HOST:PORT``, each.

    Raises:
        SettingsError: for one that is something else, or would hide the service's own paths.
    """
    found = {}
    for option in options:
        match = re.fullmatch(r"((?:/[A-Za-z0-9._~-]+)+)/?=([A-Za-z0-9._-]+|\[[0-9a-f:]+\]):([0-9]{1,5})", option)
        if match is None:
            raise SettingsError("--route", f"must be like /site/=127.0.0.1:8100, not {option!r}")
        if match[1].split("/")[1] in ("api", ".", ".."):
            raise SettingsError("--route", f"must leave the service its own paths, not take {match[1]}/")
        found[f"{match[1]}/"] = f"{match[2]}:{match[3]}"
    return found


def read_inboxes(options: Iterable[str]) -> list[str]:
    """Where applications have mounted our routes: ``/PREFIX/``, each.

    Raises:
        SettingsError: for one that is something else.
    """
    for option in options:
        if not re.fullmatch(r"(?:/[A-Za-z0-9._~-]+)+/?", option):
            raise SettingsError("--inbox", f"must be like /site/inbox/, not {option!r}")
    return [option.rstrip("/") for option in options]


def raise_file_limit() -> None:
    """Allow as many open files as the system permits; Pushpin takes the soft limit as it finds it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _write_private(path: Path, text: str) -> None:
    # Replaced rather than rewritten, so that no reader meets half a file and no old mode survives.
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    Path(name).replace(path)
