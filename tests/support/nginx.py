"""A real nginx in front of something, for one test."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support.certificates import Authority
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
    proxy_http_version 1.1;
    server {{
        listen 127.0.0.1:{port}{secure};
        {server}
    }}
}}
"""


@contextmanager
def nginx(directory: Path, server: str, authority: Authority | None = None) -> Iterator[str]:
    """Run it until the end of the block, with these directives for its one server; gives its address.

    With an authority it speaks TLS, by a certificate of that authority's for ``localhost``.
    """
    port = free_ports(1)[0]
    url, secure = f"http://127.0.0.1:{port}", ""
    if authority:
        url, secure = f"https://localhost:{port}", " ssl"
        server += f"\nssl_certificate {authority.certificate};\nssl_certificate_key {authority.key};"
    configuration, log = directory / "nginx.conf", directory / "error.log"
    configuration.write_text(CONFIGURATION.format(directory=directory, port=port, server=server, secure=secure))
    with subprocess.Popen([NGINX, "-e", str(log), "-c", str(configuration), "-p", str(directory)]) as process:
        try:
            with httpx.Client(verify=False, trust_env=False) as http:  # noqa: S501 - the certificate is the test's own
                wait_until(lambda: _answers(http, url), STARTED, log.read_text)
            yield url
        finally:
            process.kill()


def _answers(http: httpx.Client, url: str) -> bool:
    try:
        http.get(f"{url}/healthz")
    except httpx.TransportError:
        return False
    return True
