"""A real Pushpin node with the rendered configuration, in front of an origin that returns the path."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from typing import ClassVar

import httpx
import pytest

from shirase.proxy import grip
from shirase.run.node import SLACK, ProxyConfig, installed_version, run_directory, write_configuration
from shirase.run.processes import Child, family
from shirase.run.readiness import PATH, wait_for_stream
from tests.support.loop_thread import wait_until
from tests.support.parts import READY_TIMEOUT
from tests.support.stack import free_ports, free_row

TOKEN = "not-for-the-log"
HANDSHAKE = {"Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "eA" * 11 + "=="}


class Origin(BaseHTTPRequestHandler):
    HOLD: ClassVar = {"Content-Type": "text/event-stream", "Grip-Hold": "stream", "Grip-Channel": "c; prev-id=0"}

    signatures: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.signatures.append(self.headers.get("Grip-Sig", ""))
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
            standby=f"127.0.0.1:{origin.server_port}",
            sig_key="k" * 32,
            run_dir=run_directory(Path(name)),
            client_port=client,
            control_port=control,
            stats_port=stats,
            prometheus_port=prometheus,
        )
        child = Child("pushpin", write_configuration(config, installed_version()), os.environ, mark=name, slack=SLACK)
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


def test_timer_slack_is_inherited_by_a_childs_children(tmp_path: Path) -> None:
    """A node's programs therefore send many streams' heartbeats together. Only a process itself may read its slack."""
    command = ["sh", "-c", "cat /proc/self/timerslack_ns; true"]
    child = Child("sh", command, os.environ, mark=str(tmp_path), slack=SLACK)
    with (tmp_path / "written").open("wb") as output:
        child.start(output)
    wait_until(lambda: child.exit_code() == 0, READY_TIMEOUT, "it does not end")
    assert int((tmp_path / "written").read_text()) == int(SLACK * 1e9)


@pytest.mark.parametrize("path", ["/", "/api/x", "/healthz", "/demo/x", "/static/x"])
def test_clients_reach_their_own_paths(node: Node, path: str) -> None:
    assert node.get(path) == (200, path)


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/metrics", {}),
        ("/x/../metrics", {}),
        ("/healthz", {"Grip-Sig": ""}),
        ("/healthz", {"Connection": "Grip-Sig"}),
        ("/healthz", {"Connection": "close, grip-sig", "Grip-Sig": "x"}),
        ("/healthz", {**HANDSHAKE, "Connection": "Upgrade, Grip-Sig"}),
        ("/healthz", {"Expect": "100-continue"}),
    ],
)
def test_every_request_that_is_passed_on_is_signed(node: Node, path: str, headers: dict[str, str]) -> None:
    """Operator pages are refused by the signature, however a release normalises paths."""
    with closing(HTTPConnection("127.0.0.1", node.config.client_port, timeout=10)) as connection:
        connection.request("GET", path, headers=headers)
        assert connection.getresponse().status == 200
    assert grip.is_signed_with(Origin.signatures[-1], "k" * 32)


def test_no_token_is_logged(node: Node) -> None:
    assert node.get(f"/api/x?token={TOKEN}")[0] == 200
    assert TOKEN not in node.log.read_text()


def test_orphans_of_a_killed_supervisor_are_ended(node: Node) -> None:
    node.child.signal(signal.SIGKILL)
    assert family(node.mark)
    node.child.kill()
    assert family(node.mark) == []


def test_the_command_runs_a_node_with_its_standby(tmp_path: Path) -> None:
    port = free_row(5)[0]
    # Nothing listens at the origin yet.
    command = [
        sys.executable,
        "-m",
        "shirase",
        "proxy",
        "--origin",
        f"127.0.0.1:{free_ports(1)[0]}",
        "--port",
        str(port),
    ]
    command += ["--host", "127.0.0.1", "--data-dir", str(tmp_path)]
    environ = {**os.environ, "PUSHPIN_SIG_KEY": "k" * 32, "CORS_ORIGINS": "https://app.example.com"}
    tmp_path.chmod(0o755)
    with (tmp_path / "log").open("wb") as log:
        node = Child(
            "node", [*command, "--host", "127.0.0.1", "--data-dir", str(tmp_path)], environ, mark=str(tmp_path)
        )
        node.start(log)
    try:
        result: list[httpx.Response] = []

        def answers() -> bool:
            with suppress(httpx.TransportError):
                headers = {"Origin": "https://app.example.com"}
                result.append(httpx.get(f"http://127.0.0.1:{port}/api/x", headers=headers, trust_env=False))
            return bool(result)

        wait_until(answers, READY_TIMEOUT, (tmp_path / "log").read_text)
        assert result[0].status_code == 503
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700
        assert result[0].headers["Access-Control-Allow-Origin"] == "https://app.example.com"
        programs = family(str(run_directory(tmp_path)))
        assert programs
        node.signal(signal.SIGTERM)
        wait_until(lambda: node.exit_code() is not None, READY_TIMEOUT, (tmp_path / "log").read_text)
        assert (node.exit_code(), family(str(run_directory(tmp_path)))) == (0, [])
    finally:
        node.kill()


def test_a_node_without_handlers_stops_undrained(tmp_path: Path) -> None:
    port, origin = free_row(5)[0], f"127.0.0.1:{free_ports(1)[0]}"
    command = [sys.executable, "-m", "shirase", "proxy", "--origin", origin, "--port", str(port), "--drain", "60"]
    environ = {**os.environ, "PUSHPIN_SIG_KEY": "k" * 32}
    log = tmp_path / "log"
    with log.open("wb") as output:
        node = Child(
            "node", [*command, "--host", "127.0.0.1", "--data-dir", str(tmp_path)], environ, mark=str(tmp_path)
        )
        node.start(output)
    try:
        wait_until(lambda: is_alive(port), READY_TIMEOUT, log.read_text)
        node.signal(signal.SIGTERM)
        wait_until(lambda: node.exit_code() is not None, READY_TIMEOUT, log.read_text)
        assert (node.exit_code(), family(str(run_directory(tmp_path)))) == (0, [])
        assert "the handlers do not answer" in log.read_text()
    finally:
        node.kill()


def is_alive(port: int) -> bool:
    with suppress(httpx.TransportError):
        return httpx.get(f"http://127.0.0.1:{port}/livez", trust_env=False).is_success
    return False


def test_a_drain_needs_the_nodes_name(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "shirase", "proxy", "--origin", "127.0.0.1:1", "--drain", "5"]
    ended = subprocess.run(
        [*command, "--control-host", "0.0.0.0", "--data-dir", str(tmp_path)],  # noqa: S104
        env={**os.environ, "PUSHPIN_SIG_KEY": "k" * 32},
        capture_output=True,
        text=True,
        timeout=READY_TIMEOUT,
        check=False,
    )
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "--drain: needs --control-url" in ended.stderr


@pytest.mark.parametrize("origin", ["8000", "127.0.0.1", "http://127.0.0.1:8000", "a b:1"])
def test_an_origin_that_is_no_address_is_one_line(tmp_path: Path, origin: str) -> None:
    environ = {**os.environ, "PUSHPIN_SIG_KEY": "k" * 32}
    command = [sys.executable, "-m", "shirase", "proxy", "--origin", origin, "--data-dir", str(tmp_path)]
    ended = subprocess.run(
        command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=READY_TIMEOUT, check=False
    )
    assert (ended.returncode, len(ended.stderr.splitlines())) == (2, 1)
    assert "--origin: must be HOST:PORT" in ended.stderr
