"""TLS with a private authority: every client trusts SSL_CERT_FILE and SSL_CERT_DIR."""

import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from shirase.access.tokens import WRITE
from tests.support.certificates import Authority, make_authority
from tests.support.nginx import nginx
from tests.support.service import Service

pytestmark = pytest.mark.parametrize("service", ["sqlite"], indirect=True)
BOUND = 60.0
CLIENT = """
import sys
from shirase import AsyncClient, Client
import asyncio
url, token = sys.argv[1:]
with Client(url, token, attempts=1) as client:
    client.unread_count()
    print(next(client.listen()).event)
async def count():
    async with AsyncClient(url, token, attempts=1) as client:
        await client.unread_count()
asyncio.run(count())
"""
JWKS = """
import sys
from shirase.access.jwks import Jwks
print(len(Jwks(sys.argv[1], 5).candidates(None)))
"""
KEY_SET = b'{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def secure(service: Service, authority: Authority, tmp_path: Path) -> Iterator[str]:
    server = f"location / {{ proxy_pass {service.stack.url}; proxy_buffering off; proxy_set_header Host $host; }}"
    with nginx(tmp_path, server, authority) as url:
        yield url


@pytest.fixture(params=["file", "directory", "both", "neither"])
def environ(request: pytest.FixtureRequest, service: Service, authority: Authority, tmp_path: Path) -> dict[str, str]:
    trusted = {
        "file": {"SSL_CERT_FILE": str(authority.file)},
        "directory": {"SSL_CERT_DIR": str(authority.directory)},
        "both": {"SSL_CERT_FILE": str(tmp_path / "none.pem"), "SSL_CERT_DIR": str(authority.directory)},
        "neither": {},
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SSL_CERT")}
    return {**inherited, **service.stack.settings_env, **trusted[request.param]}


def run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=BOUND, check=False)


def is_trusting(environ: dict[str, str]) -> bool:
    return "SSL_CERT_FILE" in environ or "SSL_CERT_DIR" in environ


def test_the_client_trusts_it(environ: dict[str, str], secure: str, service: Service) -> None:
    ended = run(environ, "-c", CLIENT, secure, service.stack.token("tls"))
    assert ("connected" in ended.stdout, ended.returncode == 0) == (is_trusting(environ),) * 2, ended.stderr


@pytest.mark.parametrize("environ", ["directory", "neither"], indirect=True)
def test_the_commands_trust_it(environ: dict[str, str], secure: str, service: Service) -> None:
    token = service.stack.token("tls", WRITE)
    message = ("--user", "tls", "--type", "t", "--title", "T", "--message", "M", "--service", secure, "--token", token)
    sent = run(environ, "-m", "shirase", "send", *message)
    assert (sent.returncode == 0) == is_trusting(environ), sent.stderr
    if not is_trusting(environ):
        assert "CERTIFICATE_VERIFY_FAILED" in sent.stderr
        return
    result = run(environ, "-m", "shirase", "doctor", "--url", secure, "--token", token)
    lines = {line.split()[1]: line.split()[0] for line in result.stdout.splitlines()}
    assert (lines["route"], lines["event"]) == ("ok", "ok"), result.stdout


def test_the_key_set_is_fetched_by_it(environ: dict[str, str], authority: Authority) -> None:
    class Issuer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(KEY_SET)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)
    with HTTPServer(("localhost", 0), Issuer) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        ended = run(environ, "-c", JWKS, f"https://localhost:{server.server_port}/")
        server.shutdown()
        serving.join()
    assert (ended.stdout == "1\n") == is_trusting(environ), ended.stderr
