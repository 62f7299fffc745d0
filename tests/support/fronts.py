"""Servers that operators put in front of the proxy, with keep-alive connections: nginx, HAProxy and Caddy."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.loop_thread import wait_until
from tests.support.stack import free_ports

STARTED = 20.0
NGINX = """
daemon off;
master_process off;
pid {directory}/pid;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    upstream proxy {{ server {target}; keepalive 1; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://proxy;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""
HAPROXY = """
global
    maxconn 256
    nbthread 1
defaults
    mode http
    timeout connect 10s
    timeout client 60s
    timeout server 60s
    http-reuse always
frontend clients
    bind 127.0.0.1:{port}
    default_backend proxy
backend proxy
    server one {target} pool-max-conn 1
"""
CADDY = """
{{
    admin off
    auto_https off
}}
http://127.0.0.1:{port} {{
    reverse_proxy {target} {{
        flush_interval -1
        transport http {{
            keepalive_idle_conns_per_host 1
        }}
    }}
}}
"""
KINDS = {
    "nginx": (NGINX, ["/usr/sbin/nginx", "-e", "{directory}/log", "-p", "{directory}", "-c", "{file}"]),
    "haproxy": (HAPROXY, ["/usr/sbin/haproxy", "-db", "-f", "{file}"]),
    "caddy": (CADDY, ["caddy", "run", "--adapter", "caddyfile", "--config", "{file}"]),
}


@contextmanager
def front(kind: str, directory: Path, url: str) -> Iterator[str]:
    """Run one before ``url`` until the end of the block; gives its own address."""
    configuration, command = KINDS[kind]
    port, file, log = free_ports(1)[0], directory / f"{kind}.conf", directory / "log"
    file.write_text(configuration.format(directory=directory, port=port, target=url.removeprefix("http://")))
    home = {"HOME": str(directory), "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
    arguments = [part.format(directory=directory, file=file) for part in command]
    with log.open("ab") as output, subprocess.Popen(arguments, env=os.environ | home, stderr=output) as running:
        try:
            wait_until(lambda: _answers(f"http://127.0.0.1:{port}"), STARTED, log.read_text)
            yield f"http://127.0.0.1:{port}"
        finally:
            running.kill()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz", trust_env=False).is_success
    except httpx.TransportError:
        return False
