"""HAProxy before several nodes, which asks each whether it takes streams, as the documents advise."""

import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.loop_thread import wait_until
from tests.support.stack import free_ports

STARTED = 20.0
PAGE = Path(__file__).parent.parent.parent / "docs" / "deploy" / "nodes.md"
HAPROXY = """
global
    maxconn 1024
    nbthread 1
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend clients
    bind 127.0.0.1:{port}
    default_backend nodes
backend nodes
    balance roundrobin
    option redispatch
{checks}
{servers}
"""


@contextmanager
def balancer(directory: Path, urls: Sequence[str]) -> Iterator[str]:
    """Run it until the end of the block, with its files in this directory; gives its address."""
    port, file, log = free_ports(1)[0], directory / "balancer.conf", directory / "balancer.log"
    servers = "\n".join(f"    server node{n} {url.removeprefix('http://')}" for n, url in enumerate(urls))
    (checks,) = re.findall(r"```haproxy\n(.*?)```", PAGE.read_text(), re.DOTALL)
    file.write_text(HAPROXY.format(port=port, checks=checks, servers=servers))
    with (
        log.open("ab") as output,
        subprocess.Popen(["/usr/sbin/haproxy", "-db", "-f", str(file)], stderr=output) as running,
    ):
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: _answers(url), STARTED, log.read_text)
            yield url
        finally:
            running.kill()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).is_success
    except httpx.TransportError:
        return False
