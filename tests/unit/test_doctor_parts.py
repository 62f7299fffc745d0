"""The doctor's checks of host names: of control ports and of the issuer's keys."""

import socket
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread
from typing import Any

import pytest

from shirase.run.doctor.client_path import ClientPath
from shirase.run.doctor.findings import Failed
from shirase.run.doctor.parts import Parts
from shirase.settings import TokenSettings
from tests.support.control_port import ControlPort, control_port
from tests.support.nowhere import NOWHERE
from tests.unit.test_jwks import Issuer, entry


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses of ``nodes.test``; other names resolve as usual."""
    addresses, real = ["127.0.0.1"], socket.getaddrinfo

    def resolve(host: Any, *arguments: Any, **options: Any) -> Any:
        hosts = addresses if host == "nodes.test" else [host]
        return [address for each in hosts for address in real(each, *arguments, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return addresses


@pytest.fixture
def port() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


def test_a_name_of_several_nodes_is_a_failure(port: ControlPort, resolved: list[str]) -> None:
    url = port.url.replace("127.0.0.1", "nodes.test")
    with closing(Parts(replace(NOWHERE, grip_url=(url,)))) as parts:
        assert parts.control_port().startswith("answers at ")
        resolved.append("::1")  # the same machine over IPv6
        assert parts.control_port().startswith("answers at ")
        resolved.append("127.0.0.2")
        with pytest.raises(Failed, match=r"nodes\.test in GRIP_URL has 2 addresses"):
            parts.control_port()


@pytest.mark.parametrize(
    ("status", "expected"), [(502, "does not answer"), (503, "does not answer"), (404, "no application has mounted")]
)
def test_an_inbox_that_is_not_there_is_no_guard(status: int, expected: str) -> None:
    class Answers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(status)

    server = HTTPServer(("127.0.0.1", 0), Answers)
    Thread(target=server.handle_request).start()
    with (
        closing(server.socket),
        closing(ClientPath(f"http://127.0.0.1:{server.server_port}", "", lambda: None)) as path,
        pytest.raises(Failed, match=expected),
    ):
        path.inbox("/app/inbox")


def test_the_issuers_keys_are_fetched() -> None:
    issuer = Issuer()
    with issuer.running():
        issuer.publish(entry("rsa"), entry("ec"))
        known = TokenSettings(jwt_jwks_url=f"http://127.0.0.1:{issuer.port}/")
        with closing(Parts(NOWHERE, known)) as parts:
            assert parts.token_keys().startswith("2 of http://127.0.0.1:")
            issuer.status = 500
            with pytest.raises(Failed, match=r"cannot be fetched: it answers 500 .*SSL_CERT_FILE"):
                parts.token_keys()
