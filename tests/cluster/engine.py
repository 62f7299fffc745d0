"""A container engine, and the images: those of a registry, or made here from Debian's packages."""

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from shirase.run.processes import Child

ROOT = Path(__file__).parents[2]
IMAGES = Path(__file__).parent / "images"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# Kept between runs, with its images: what has not changed is not built again.
KEPT = Path(os.environ.get("SHIRASE_ROOTS", "/var/cache/shirase")) / "engine"
FORWARDING = Path("/proc/sys/net/ipv4/ip_forward")
START = 60.0  # seconds until a daemon must answer
STOP = 30.0
PULL = 120.0  # seconds until a registry must have sent an image
OLD = "168h"  # images of former trees are removed after a week


class NoEngine(Exception):
    """There is nothing here to run containers with."""


def run(*command: str, check: bool = True, env: dict[str, str] | None = None, timeout: float | None = None) -> str:
    """The output of a command; an error shows all of it. Without ``check`` it is empty if it fails."""
    try:
        ended = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **(env or {})},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        if check:
            raise
        return ""
    if check and ended.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return "" if ended.returncode else ended.stdout


@contextmanager
def engine() -> Iterator[None]:
    """The engine that runs already, or one that is started for this and stopped after it.

    Raises:
        NoEngine: if there is none, or it does not start here.
    """
    if not shutil.which("docker"):
        raise NoEngine("there is no docker")
    if not (shutil.which("docker-compose") or run("docker", "compose", "version", check=False)):
        raise NoEngine("there is no docker compose")
    if _answers():
        yield
        return
    if os.geteuid() or not shutil.which("dockerd"):
        raise NoEngine("no container engine runs, and only root can start one that is installed")
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise NoEngine(f"another run uses {KEPT}") from exc
        with _firewall_kept(), _started(Path(tempfile.mkdtemp(prefix="shirase-engine-"))):
            yield
            run("docker", "image", "prune", "--force", "--filter", f"until={OLD}", check=False)


@contextmanager
def _firewall_kept() -> Iterator[None]:
    """A daemon adds rules, drops what is forwarded, and removes neither: put all of it back."""
    forwarding = FORWARDING.read_text()
    rules = run("iptables-save", check=False) if shutil.which("iptables-save") else ""
    try:
        yield
    finally:
        if rules:
            subprocess.run(["iptables-restore"], input=rules, text=True, check=False)
        FORWARDING.write_text(forwarding)


@contextmanager
def _started(home: Path) -> Iterator[None]:
    """An engine of our own, which the kernel ends if this process dies."""
    os.environ["DOCKER_HOST"] = f"unix://{home}/socket"
    options = ["--data-root", f"{KEPT}/data", "--exec-root", f"{home}/exec", "--pidfile", f"{home}/pid"]
    command = ["dockerd", *options, "--bridge=none", "-H", os.environ["DOCKER_HOST"]]
    daemon = Child("dockerd", command, os.environ, mark=str(home))
    try:
        with (home / "log").open("wb") as log:
            daemon.start(log)
        deadline = time.monotonic() + START
        while not _answers():
            if daemon.exit_code() is not None or time.monotonic() > deadline:
                lines = (home / "log").read_text().splitlines() or ["it logged nothing"]
                raise NoEngine(f"dockerd does not start here: {lines[-1]}")
            time.sleep(0.2)
        yield
    finally:
        daemon.stop(STOP)
        del os.environ["DOCKER_HOST"]
        for mount in _mounts_below(home):
            run("umount", "--lazy", mount, check=False)
        shutil.rmtree(home, ignore_errors=True)


def _answers() -> bool:
    return bool(run("docker", "version", "--format", "{{.Server.Version}}", check=False, timeout=20).strip())


def _mounts_below(home: Path) -> list[str]:
    points = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
    return [point for point in reversed(points) if point.startswith(f"{home}/")]


def remove(project: str) -> None:
    """Remove the containers of a composition, then its networks and its volumes with their data; in any state."""
    filters = ["--filter", f"label=com.docker.compose.project={project}"]
    for kind, listing, removal in (
        ("container", ["--all"], ["--force", "--volumes"]),
        ("network", [], []),
        ("volume", [], ["--force"]),
    ):
        ids = run("docker", kind, "ls", "--quiet", *listing, *filters, check=False).split()
        if ids:
            run("docker", kind, "rm", *removal, *ids, check=False)


def build() -> dict[str, str]:
    """Build both images; the names of all that the composition runs.

    BASE_IMAGE and POSTGRES_IMAGE name images of a registry, or local ones. Without them, and where no registry
    answers, both are made from Debian's packages.

    Raises:
        NoEngine: if there is no base, or no package can be had.
    """
    base = os.environ.get("BASE_IMAGE") or _pulled("debian:12-slim") or _debian()
    names = {"NODE_IMAGE": "shirase-node:cluster", "SHIRASE_IMAGE": "shirase:cluster"}
    with ThreadPoolExecutor(1) as beside:  # it waits for the network more than for a processor
        postgres = beside.submit(_postgres, base)
        _build(f"--build-arg=BASE={base}", "--target=node", "-t", names["NODE_IMAGE"], ".")
        _build(f"--build-arg=BASE={base}", "-t", names["SHIRASE_IMAGE"], ".")
        return {**names, "POSTGRES_IMAGE": postgres.result()}


def _postgres(base: str) -> str:
    if name := os.environ.get("POSTGRES_IMAGE") or _pulled("postgres:17-bookworm"):
        return name
    made = "shirase-postgres:local"
    _build("-f", str(IMAGES / "postgres.Dockerfile"), "-t", made, f"--build-arg=BASE={base}", str(IMAGES))
    return made


def _build(*arguments: str) -> None:
    # The host's network: the registries of packages may be reachable from there alone.
    try:
        run("docker", "build", "--network=host", *arguments)
    except RuntimeError as exc:
        if not _packages_answer():
            raise NoEngine("no registry of packages answers") from exc
        raise


def _packages_answer() -> bool:
    """Whether this machine can have packages of Debian and of Python: then a build that fails is at fault itself."""
    with tempfile.TemporaryDirectory(prefix="shirase-packages-") as name:
        download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-cache-dir", "-d", name, "wheel"]
        update = ["apt-get", "update", "-q", "-o", "APT::Update::Error-Mode=any", "-o", f"Dir::State::lists={name}"]
        return all(
            subprocess.run(command, capture_output=True, check=False).returncode == 0 for command in (download, update)
        )


def _pulled(name: str) -> str:
    """The image, if it is here or can be pulled."""
    if run("docker", "image", "ls", "-q", name, check=False).strip():
        return name
    return name if run("docker", "pull", "-q", name, check=False, timeout=PULL).strip() else ""


def _debian() -> str:
    """Debian 12 from its packages, with the certificates that this machine trusts."""
    made = "shirase-debian:local"
    if not run("docker", "image", "ls", "-q", made, check=False).strip():
        root = subprocess.run([ROOT / ".ci/root", "12"], capture_output=True, text=True, check=False)
        if root.returncode:
            reason = (root.stderr.strip() or "no root of Debian can be made").splitlines()[-1]
            raise NoEngine(f"no registry of images answers, and {reason.removeprefix('skipped, ')}")
        run("sh", "-c", f"tar -C {root.stdout.strip()} -c . | docker import - {made}")
    with tempfile.TemporaryDirectory(prefix="shirase-base-") as name:
        base = Path(name)
        shutil.copy(CERTIFICATES, base / "certificates.crt")
        shutil.copy(IMAGES / "base.Dockerfile", base / "Dockerfile")
        _build(f"--build-arg=BASE={made}", "-t", "shirase-base:local", str(base))
    return "shirase-base:local"
