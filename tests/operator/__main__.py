"""Run every command of ``docs/deploy.md`` on an empty machine, and upgrade it under load.

Exit 0 if all holds, or in one line if no machine can be had here.
"""

import json
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import httpx

from tests.operator.machine import Machine, NoMachine, machine
from tests.operator.page import Block, blocks
from tests.support.held_stream import HeldStream

NAME = "push.example.com"
STREAMS = 5
ARRIVES = 30.0  # seconds
USER = "aiko"
CERTIFICATE = f"/etc/letsencrypt/live/{NAME}/fullchain.pem"
NEXT = "0.1.999"
# In the place of certbot, which needs a public name. The machine trusts it, as it would a public authority.
OWN_CERTIFICATE = f"""
mkdir -p {Path(CERTIFICATE).parent}
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={NAME} \\
    -addext subjectAltName=DNS:{NAME} -keyout {Path(CERTIFICATE).parent}/privkey.pem -out {CERTIFICATE} 2>/dev/null
cat {CERTIFICATE} >>/etc/ssl/certs/ca-certificates.crt
"""
INSIDE = """
ip link set lo up
{ cat /etc/hosts; echo "127.0.0.1 $2"; } >"$1/hosts"
mount --bind "$1/hosts" /etc/hosts
exec "$3" -m tests.operator --inside "$1"
"""


def show(line: str) -> None:
    """Print one line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


class Load:
    """Creates notifications until the end of the block, ten a second."""

    def __init__(self, http: httpx.Client) -> None:
        """Prepare."""
        self.accepted: list[str] = []
        self.refused: list[str] = []
        self._http = http
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._create, daemon=True)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._done.set()
        self._thread.join()

    def _create(self) -> None:
        number = 0
        while not self._done.wait(0.1):
            number += 1
            body = {"user_id": USER, "type": "operator", "title": f"{id(self)}/{number}", "message": ""}
            try:
                status = str(self._http.post("/api/notifications", json=body).status_code)
            except httpx.HTTPError as exc:
                status = type(exc).__name__
            if status == "201":
                self.accepted.append(body["title"])
            else:
                self.refused.append(status)


def install(on: Machine, page: list[Block]) -> None:
    """Run the page up to its upgrade."""
    on.copy_tree("/usr/src/shirase")
    on.run(f"echo 127.0.0.1 {NAME} >>/etc/hosts")
    first, *others = page
    for block in others:
        if block.heading == "Upgrade":
            return
        begun = time.monotonic()
        commands = OWN_CERTIFICATE if "certbot certonly" in block.commands else block.commands
        on.run(first.commands + commands)
        show(f"ok      {block.heading}: {block.commands.splitlines()[0][:70]} ({time.monotonic() - begun:.0f} s)")


def upgrade(on: Machine, page: list[Block], client: Callable[[], httpx.Client]) -> None:
    """Run the upgrade of the page under load: no stream ends, no create is refused, everything arrives once."""
    first, *others = page
    handlers, nodes = (block.commands for block in others if block.heading == "Upgrade")
    on.run(f"sed -i 's/^__version__ = .*/__version__ = \"{NEXT}\"/' /usr/src/shirase/api/shirase/__init__.py")
    streams = [HeldStream(client()) for _ in range(STREAMS)]
    with Load(client()) as load:
        on.run(first.commands + handlers)
    wait_until(lambda: all(stream.titles == load.accepted for stream in streams), lambda: differs(streams, load))
    assert not any(stream.ended for stream in streams), "a stream ended"
    assert not load.refused, f"refused while the handlers were replaced: {load.refused}"
    linked = on.run("readlink /opt/shirase").strip()
    assert linked.endswith(NEXT), linked
    show(f"ok      upgrade: {STREAMS} streams held, {len(load.accepted)} created and delivered once each, none refused")

    on.run(f"nohup shirase listen --user {USER} --service https://{NAME} >/tmp/listened 2>/tmp/listening &")
    on.run("timeout 60 sh -c 'until grep -q connected /tmp/listened; do sleep 0.2; done'")
    with Load(client()) as load:
        on.run(first.commands + nodes)
    wait_until(lambda: listened(on) == load.accepted, lambda: f"{listened(on)[-3:]} {load.accepted[-3:]}")
    show(
        f"ok      nodes replaced one by one: {len(load.accepted)} created and delivered once each to who reconnects,"
        f" {len(load.refused)} refused meanwhile"
    )


def listened(on: Machine) -> list[str]:
    """The titles that the command on the machine has printed."""
    events = [json.loads(line) for line in on.run("cat /tmp/listened").splitlines()]
    return [event["data"]["title"] for event in events if event["event"] == "notification"]


def differs(streams: list[HeldStream], load: Load) -> str:
    """What did not arrive."""
    missing = [sorted(set(load.accepted) - set(stream.titles))[:3] for stream in streams]
    return f"missing {missing}, ended {[stream.ended for stream in streams]}"


def wait_until(condition: Callable[[], object], failure: Callable[[], str]) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + ARRIVES
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(failure())
        time.sleep(0.2)


def inside(home: Path) -> int:
    """All of it, in namespaces of its own."""
    page = blocks()
    try:
        with machine() as on:
            try:
                on.require_registries()
                install(on, page)
                (home / "authority.pem").write_text(on.run(f"cat {CERTIFICATE}"))
                trust = ssl.create_default_context(cafile=str(home / "authority.pem"))
                token = on.run(f"shirase token --user {USER} --scope notifications:write --ttl 36000").strip()
                headers = {"Authorization": f"Bearer {token}"}
                upgrade(
                    on,
                    page,
                    lambda: httpx.Client(
                        base_url=f"https://{NAME}", verify=trust, headers=headers, trust_env=False, timeout=60
                    ),
                )
            except (RuntimeError, AssertionError) as exc:
                show(f"FAILED  {exc}")
                show(
                    on.run(
                        "systemctl --failed --no-pager; journalctl --no-pager -n 40 -u 'shirase-*' -u nginx",
                        check=False,
                    )
                )
                return 1
    except NoMachine as exc:
        show(f"operator: {exc}; nothing was checked")
    return 0


def main() -> int:
    """Enter a network namespace, so that the machine's ports are its own, and an /etc/hosts with its name."""
    if sys.argv[1:2] == ["--inside"]:
        return inside(Path(sys.argv[2]))
    with tempfile.TemporaryDirectory(prefix="shirase-operator-") as home:
        command = ["unshare", "--net", "--mount", "--propagation", "private", "sh", "-euc", INSIDE, "operator"]
        return subprocess.run([*command, home, NAME, sys.executable], check=False).returncode


sys.exit(main())
