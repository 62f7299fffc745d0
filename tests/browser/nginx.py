"""A real nginx that does what keeps streams from some networks: it holds back what it passes on until it is complete.

Its ``proxy_buffering`` alone does not: nginx passes on what there is. Its compression waits for the end.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.loop_thread import wait_until
from tests.support.stack import free_ports

NGINX = "/usr/sbin/nginx"
STARTED = 10.0
CONFIGURATION = """
daemon off;
master_process off;
pid {directory}/pid;
error_log {directory}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass {target};
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_buffering on;
            proxy_ignore_headers X-Accel-Buffering;  # with which the service asks not to be buffered
            gzip on;
            gzip_proxied any;
            gzip_types text/event-stream;
        }}
    }}
}}
"""


@contextmanager
def buffering_nginx(directory: Path, target: str) -> Iterator[str]:
    """Run it before ``target`` until the end of the block; gives its address."""
    port = free_ports(1)[0]
    configuration = directory / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(directory=directory, port=port, target=target))
    log = directory / "error.log"
    with subprocess.Popen([NGINX, "-e", str(log), "-c", str(configuration), "-p", str(directory)]) as nginx:
        try:
            url = f"http://127.0.0.1:{port}"
            wait_until(lambda: _answers(url), STARTED, log.read_text)
            yield url
        finally:
            nginx.kill()


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/healthz").is_success
    except httpx.TransportError:
        return False
