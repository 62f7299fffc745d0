"""A container engine, and the images: those of a registry, or made here from Debian's packages."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
IMAGES = Path(__file__).parent / "images"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
START = 60.0  # seconds until a daemon must answer


class NoEngine(Exception):
    """There is nothing here to run containers with."""


def run(*command: str, check: bool = True, env: dict[str, str] | None = None) -> str:
    """The output of a command; an error shows all of it."""
    ended = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **(env or {})}, capture_output=True, text=True, check=False
    )
    if check and ended.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit code {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return ended.stdout


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
    if run("docker", "version", "--format", "{{.Server.Version}}", check=False).strip():
        yield
        return
    if os.geteuid() or not shutil.which("dockerd"):
        raise NoEngine("no container engine runs, and only root can start one that is installed")
    home = Path(tempfile.mkdtemp(prefix="shirase-engine-"))
    os.environ["DOCKER_HOST"] = f"unix://{home}/socket"
    options = ["--data-root", f"{home}/data", "--exec-root", f"{home}/exec", "--pidfile", f"{home}/pid"]
    with (home / "log").open("wb") as log:
        daemon = subprocess.Popen(["dockerd", *options, "-H", os.environ["DOCKER_HOST"]], stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + START
        while not run("docker", "version", "--format", "{{.Server.Version}}", check=False).strip():
            if daemon.poll() is not None or time.monotonic() > deadline:
                lines = (home / "log").read_text().splitlines() or ["it says nothing"]
                raise NoEngine(f"dockerd does not start here: {lines[-1]}")
            time.sleep(0.2)
        yield
    finally:
        daemon.terminate()
        daemon.wait()
        shutil.rmtree(home, ignore_errors=True)


def build() -> dict[str, str]:
    """Build both images; the names of all that the composition runs.

    BASE_IMAGE and POSTGRES_IMAGE name images of a registry, or local ones. Without them, and where no registry
    answers, both are made from Debian's packages.
    """
    base = os.environ.get("BASE_IMAGE") or _pulled("debian:12-slim") or _debian()
    postgres = os.environ.get("POSTGRES_IMAGE") or _pulled("postgres:17-bookworm")
    if not postgres:
        postgres = "shirase-postgres:local"
        _build("-f", str(IMAGES / "postgres.Dockerfile"), "-t", postgres, f"--build-arg=BASE={base}", str(IMAGES))
    names = {"NODE_IMAGE": "shirase-node:cluster", "SHIRASE_IMAGE": "shirase:cluster", "POSTGRES_IMAGE": postgres}
    _build(f"--build-arg=BASE={base}", "--target=node", "-t", names["NODE_IMAGE"], ".")
    _build(f"--build-arg=BASE={base}", "-t", names["SHIRASE_IMAGE"], ".")
    return names


def _build(*arguments: str) -> None:
    # The host's network: the registries of packages may be reachable from there alone.
    run("docker", "build", "--network=host", *arguments)


def _pulled(name: str) -> str:
    """The image, if it is here or can be pulled."""
    if run("docker", "image", "ls", "-q", name, check=False).strip():
        return name
    return name if run("docker", "pull", "-q", name, check=False).strip() else ""


def _debian() -> str:
    """Debian 12 from its packages, with the certificates that this machine trusts."""
    if not shutil.which("debootstrap"):
        raise NoEngine("no registry of images answers, and there is no debootstrap to make one")
    with tempfile.TemporaryDirectory(prefix="shirase-base-") as name:
        base = Path(name)
        run("debootstrap", "--variant=minbase", "--include=ca-certificates", "bookworm", f"{base}/root")
        run("sh", "-c", f"tar -C {base}/root -c . | docker import - shirase-debian:local")
        shutil.copy(CERTIFICATES, base / "certificates.crt")
        shutil.copy(IMAGES / "base.Dockerfile", base / "Dockerfile")
        shutil.rmtree(base / "root")
        _build("--build-arg=BASE=shirase-debian:local", "-t", "shirase-base:local", str(base))
    return "shirase-base:local"
