"""Run it: ``python -m tests.cluster``. Exit 0 if all holds, or in one line if there is no engine here."""

import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.cluster.composition import HOST, PROJECT, SERVICES, USER, WEB_PORT, Composition, Device, wait_until
from tests.cluster.engine import NoEngine, build, engine, run

STREAMS = 5
KILLED = "137"  # the exit code of what SIGKILL ended
BACK = 60.0  # seconds until what was killed serves again


def check_isolation(composition: Composition) -> str:
    """Nothing runs as root, or can write to its own root."""
    for service in SERVICES:
        user = composition.execute(service, "id", "-u")
        assert user != "0", f"{service} runs as root"
        if service != "postgres":
            assert composition.inspect(service, "{{.HostConfig.ReadonlyRootfs}}") == "true", service
        assert composition.inspect(service, "{{.HostConfig.LogConfig.Config}}") != "map[]", f"{service}: logs grow"
    return "no root, read-only, logs limited"


def check_delivery(composition: Composition) -> str:
    """A notification arrives."""
    device = Device(composition)
    assert composition.create("first") == 201
    wait_until(lambda: device.titles == ["first"], 10, "a notification arrives")
    return "a notification arrives"


def check_outbound(composition: Composition) -> str:
    """Mail, by a password that is a file, and a webhook leave by the relay; the key of Web Push is a file too."""
    http, kind = composition.http, "cluster.outbound"
    entry = {"label": kind, "channels": [{"channel": "email"}]}
    for path, body in (
        (f"/api/types/{kind}", entry),
        (f"/api/users/{USER}/contact", {"email": "aiko@example.com"}),
        ("/api/webhooks/sink", {"url": f"http://{HOST}:{WEB_PORT}/hook", "types": [kind]}),
    ):
        http.put(path, json=body).raise_for_status()
    assert http.get("/api/push/key").json()["public_key"]
    assert composition.create("outbound", kind) == 201
    expected = {"mail: outbound", "webhook: outbound"}
    wait_until(lambda: expected <= set(composition.logs("sink")), BACK, f"{expected} at the sink")
    return "mail over TLS with a password, and a webhook"


def check_kills(composition: Composition) -> str:
    """Each service is killed and is back, and only those of the node itself lose streams."""
    for service in SERVICES:
        device = Device(composition)
        composition.kill(service)
        title = f"after {service}"
        wait_until(lambda title=title: composition.create(title) == 201, BACK, f"creates after a kill of {service}")  # type: ignore[misc]
        if service == "pushpin":
            wait_until(lambda: Device(composition), BACK, "streams open again")
        else:
            wait_until(lambda d=device, t=title: t in d.titles, BACK, f"{title} arrives on the open stream")  # type: ignore[misc]
            assert not device.ended, f"a stream ended with {service}"
    return f"killed and back: {', '.join(SERVICES)}"


def check_moved_address(composition: Composition) -> str:
    """Handlers that come back under another address are found at once."""
    device = Device(composition)
    before = composition.inspect("api", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
    (network,) = composition.inspect("api", "{{range $n, $_ := .NetworkSettings.Networks}}{{$n}} {{end}}").split()
    composition.stop("api")
    begun = time.monotonic()
    refused = composition.create("while stopped")
    took = time.monotonic() - begun
    assert refused == 503, refused
    image = composition.environ["SHIRASE_IMAGE"]
    # The next containers get the free address.
    label = f"--label=com.docker.compose.project={PROJECT}"  # by which the composition's end removes it
    hold = ["docker", "run", "-d", "--rm", label, f"--network={network}", image, "sleep", "600"]
    holders = [run(*hold) for _ in range(2)]
    try:
        composition.start("api")
        wait_until(lambda: composition.inspect("api", "{{.State.Health.Status}}") == "healthy", BACK, "api is healthy")
        after = composition.inspect("api", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}")
        assert after != before, "the address did not change"
        waited = composition.wait_ready(10)
    finally:
        for holder in holders:
            run("docker", "kill", holder.strip())
    composition.create("at the new address")
    wait_until(lambda: "at the new address" in device.titles, 10, "a stream goes on")
    assert not device.ended
    return f"503 in {took:.1f} s without handlers; at another address they answer {waited:.1f} s after they are healthy"


def has_all(device: Device, accepted: list[str]) -> bool:
    """Whether all that was accepted has arrived, in order and once."""
    return [title for title in device.titles if title.startswith("load")] == accepted


def check_upgrade(composition: Composition) -> str:
    """A new image for all but the node, under load: no stream ends, and what was accepted arrives once."""
    next_image = "shirase:next"
    dockerfile = f"FROM {composition.environ['SHIRASE_IMAGE']}\\nLABEL release=next\\n"
    run("sh", "-c", f"printf '{dockerfile}' | docker build -q -t {next_image} -")
    devices = [Device(composition) for _ in range(STREAMS)]
    node, done = composition.container("pushpin"), threading.Event()
    statuses: list[int] = []
    accepted: list[str] = []

    def load() -> None:
        while not done.wait(0.1):
            title = f"load {len(statuses)}"
            statuses.append(composition.create(title))
            if statuses[-1] == 201:
                accepted.append(title)

    loading = threading.Thread(target=load)
    loading.start()
    composition.environ["SHIRASE_IMAGE"] = next_image
    composition.compose("up", "-d", "--no-build", "api", "relay")
    composition.wait_ready()
    done.wait(3)
    done.set()
    loading.join()
    assert composition.container("pushpin") == node, "the node was replaced"
    for device in devices:
        wait_until(partial(has_all, device, accepted), BACK, "all of it arrives")
        assert not device.ended, "a stream ended"
    failed = sum(status != 201 for status in statuses)
    return f"{STREAMS} streams held, {len(accepted)} accepted and delivered once each, {failed} refused meanwhile"


def check_stops(composition: Composition) -> str:
    """Each service stops by itself, before the engine kills it."""
    took = {}
    for service in ("relay", "api", "pushpin", "postgres"):
        begun = time.monotonic()
        composition.stop(service)
        took[service] = time.monotonic() - begun
        assert composition.inspect(service, "{{.State.ExitCode}}") != KILLED, f"{service} had to be killed"
    return ", ".join(f"{service} stops in {seconds:.1f} s" for service, seconds in took.items())


CHECKS: tuple[Callable[[Composition], str], ...] = (
    check_isolation,
    check_delivery,
    check_outbound,
    check_moved_address,
    check_kills,
    check_upgrade,
    check_stops,
)


def report(line: str) -> None:
    """Print one line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Build, run, check, remove."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that everything is removed then too
    begun, failed = time.monotonic(), 0
    try:
        with engine(), tempfile.TemporaryDirectory(prefix="shirase-cluster-") as home:
            images = build()
            report(f"ok      the images are built ({time.monotonic() - begun:.0f} s)")
            composition = Composition(Path(home), images)
            try:
                composition.up()
                composition.sign_in()
                failed = sum(not passes(check, composition) for check in CHECKS)
                if failed:
                    report(composition.compose("logs", "--tail", "30"))
            finally:
                composition.down()
    except NoEngine as exc:
        report(f"cluster: {exc}; nothing was checked")
        return 0
    report(f"cluster: {len(CHECKS) - failed} of {len(CHECKS)} hold ({time.monotonic() - begun:.0f} s)")
    return int(bool(failed))


def passes(check: Callable[[Composition], str], composition: Composition) -> bool:
    """Run one check and report it; the others are worth a look if it fails."""
    begun = time.monotonic()
    try:
        report(f"ok      {check(composition)} ({time.monotonic() - begun:.0f} s)")
    except Exception as exc:  # noqa: BLE001
        report(f"FAILED  {check.__name__}: {exc}")
        return False
    return True


sys.exit(main())
