"""The edge files of ``deploy/edge``, run by the real programs with TLS in front of a stack."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.support.certificates import Authority
from tests.support.loop_thread import wait_until
from tests.support.nginx import NGINX
from tests.support.stack import Stack, free_ports

FILES = Path(__file__).parents[2] / "deploy/edge"
CADDY = "/usr/bin/caddy"
STARTED = 20.0
AROUND_NGINX = """
daemon off;
master_process off;
pid {home}/pid;
error_log {home}/start.log;
events {{ worker_connections 512; }}
http {{
    client_body_temp_path {home}/body; proxy_temp_path {home}/proxy; fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi; scgi_temp_path {home}/scgi;
    include {home}/shirase.conf;
}}
"""


@dataclass(frozen=True)
class Edge:
    """Where it answers, and what it has logged."""

    url: str
    home: Path

    def logged(self) -> str:
        """Everything in its log files."""
        return "".join(path.read_text() for path in self.home.glob("*.log"))


@contextmanager
def edge(program: str, stack: Stack, authority: Authority, home: Path) -> Iterator[Edge]:
    """Run ``nginx`` or ``caddy`` until the end of the block."""
    port, other = free_ports(2)
    command = (
        _nginx(stack, authority, home, port) if program == "nginx" else _caddy(stack, authority, home, port, other)
    )
    url = f"https://localhost:{port}"
    environ = {"HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    with (home / "output").open("wb") as output:
        process = subprocess.Popen(command, env=environ, stdout=output, stderr=output)
    try:
        wait_until(lambda: _answers(url), STARTED, (home / "output").read_text)
        yield Edge(url, home)
    finally:
        process.kill()
        process.wait()


def _nginx(stack: Stack, authority: Authority, home: Path, port: int) -> list[str]:
    text = _upstreams((FILES / "nginx.conf").read_text(), stack)
    text = text.replace("listen 443", f"listen 127.0.0.1:{port}").replace("    listen [::]:443 ssl http2;\n", "")
    text = text.replace("/etc/ssl/shirase/fullchain.pem", str(authority.certificate))
    text = text.replace("/etc/ssl/shirase/privkey.pem", str(authority.key))
    text = text.replace("/var/log/nginx/", f"{home}/").replace("push.example.com", "localhost")
    (home / "shirase.conf").write_text(text)
    (home / "nginx.conf").write_text(AROUND_NGINX.format(home=home))
    return [NGINX, "-e", f"{home}/start.log", "-c", f"{home}/nginx.conf", "-p", str(home)]


def _caddy(stack: Stack, authority: Authority, home: Path, port: int, http_port: int) -> list[str]:
    text = _upstreams((FILES / "Caddyfile").read_text(), stack)
    tls = f"https://localhost:{port} {{\n\ttls {authority.certificate} {authority.key}\n"
    text = text.replace("push.example.com {\n", tls).replace("/var/log/caddy/", f"{home}/")
    options = f"{{\n\tadmin off\n\tauto_https disable_redirects\n\thttp_port {http_port}\n\thttps_port {port}\n}}\n"
    (home / "Caddyfile").write_text(options + text)
    return [CADDY, "run", "--config", f"{home}/Caddyfile", "--adapter", "caddyfile"]


def _upstreams(text: str, stack: Stack) -> str:
    text = text.replace("127.0.0.1:7999", stack.url.removeprefix("http://"))
    return re.sub(r"127\.0\.0\.1:8000", stack.origin_url.removeprefix("http://"), text)


def _answers(url: str) -> bool:
    try:
        httpx.get(f"{url}/healthz", verify=False, trust_env=False)  # noqa: S501 - only whether it listens
    except httpx.TransportError:
        return False
    return True
