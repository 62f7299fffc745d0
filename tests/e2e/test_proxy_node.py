"""A real Pushpin node by the rendered configuration, in front of an origin that says which path arrived."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import ClassVar

import pytest

from api.processes import Child, family
from api.proxy import ProxyConfig, installed_version, run_directory, write_configuration
from api.readiness import PATH, wait_for_stream
from tests.stack import READY_TIMEOUT, free_ports

TOKEN = "not-for-the-log"


class Origin(BaseHTTPRequestHandler):
    HOLD: ClassVar = {"Content-Type": "text/event-stream", "Grip-Hold": "stream", "Grip-Channel": "c; prev-id=0"}

    def do_GET(self) -> None:
        held = self.path.startswith(PATH)
        self.send_response(200)
        for name, value in (self.HOLD if held else {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(b"event: connected\ndata: {}\n\n" if held else self.path.encode())

    def log_message(self, *args: object) -> None:
        pass


@dataclass(frozen=True)
class Node:
    config: ProxyConfig
    child: Child
    mark: str
    log: Path

    def get(self, path: str) -> tuple[int, str]:
        with closing(HTTPConnection("127.0.0.1", self.config.client_port, timeout=10)) as connection:
            connection.putrequest("GET", path)
            connection.endheaders()
            answer = connection.getresponse()
            return answer.status, answer.read().decode()


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    client, control, stats, prometheus = free_ports(4)
    with TemporaryDirectory(prefix="s-") as name, ThreadingHTTPServer(("127.0.0.1", 0), Origin) as origin:
        serving = Thread(target=origin.serve_forever)
        serving.start()
        config = ProxyConfig(
            origin=f"127.0.0.1:{origin.server_port}",
            sig_key="k" * 32,
            run_dir=run_directory(Path(name)),
            client_port=client,
            control_port=control,
            stats_port=stats,
            prometheus_port=prometheus,
        )
        child = Child("pushpin", write_configuration(config, installed_version()), os.environ, mark=name)
        log = Path(name) / "log"
        try:
            with log.open("wb") as output:
                child.start(output)
            assert wait_for_stream(f"http://127.0.0.1:{client}", lambda: TOKEN, READY_TIMEOUT, lambda: True), (
                log.read_text()
            )
            yield Node(config, child, name, log)
        finally:
            child.kill()
            origin.shutdown()
            serving.join()


@pytest.mark.parametrize("path", ["/", "/api/x", "/healthz", "/demo/x", "/static/x"])
def test_clients_reach_what_is_theirs(node: Node, path: str) -> None:
    assert node.get(path) == (200, path)


@pytest.mark.parametrize(
    "path",
    [
        "/metrics",
        "/readyz",
        "/metrics?x=1",
        "/%6detrics",
        "/%6Detrics",
        "/%72eadyz",
        "//metrics",
        "/./metrics",
        "/../metrics",
    ],
)
def test_clients_reach_nothing_of_the_operators(node: Node, path: str) -> None:
    status, arrived = node.get(path)
    assert status != 200 or arrived.startswith("/not-public/")


def test_no_token_is_logged(node: Node) -> None:
    assert node.get(f"/api/x?token={TOKEN}")[0] == 200
    assert TOKEN not in node.log.read_text()


def test_what_a_killed_runner_leaves_behind_is_found_and_ended(node: Node) -> None:
    node.child.signal(signal.SIGKILL)
    assert family(node.mark)
    node.child.kill()
    assert family(node.mark) == []
