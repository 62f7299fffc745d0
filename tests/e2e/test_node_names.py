"""A node follows the host name of its handlers, and its liveness does not depend on them."""

import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import httpx
import pytest

from shirase.run.processes import Child
from tests.support.loop_thread import wait_until
from tests.support.parts import READY_TIMEOUT
from tests.support.stack import free_row

NAME = "handlers.test"
SOON = 10.0  # far below the minute for which zurl caches a name


class Handlers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(str(self.connection.getsockname()[0]).encode())

    def log_message(self, *args: object) -> None:
        pass


@dataclass
class Node:
    url: str
    hosts: Path

    def name_leads_to(self, *addresses: str) -> None:
        self.hosts.write_text("".join(f"{address} {NAME}\n" for address in ("127.0.0.1 localhost\n", *addresses)))

    def answer(self, path: str) -> tuple[int, str]:
        with suppress(httpx.TransportError):
            answer = httpx.get(f"{self.url}{path}", trust_env=False, timeout=SOON)
            return answer.status_code, answer.text
        return 0, ""

    def waits_for(self, path: str, status: int, text: str = "") -> None:
        wait_until(
            lambda: self.answer(path)[0] == status and text in self.answer(path)[1],
            SOON,
            lambda: str(self.answer(path)),
        )


@pytest.fixture
def node() -> Iterator[Node]:
    """Run a node in a mount namespace with its own host names, in front of two hosts with handlers."""
    if os.geteuid():
        pytest.skip("only root can give a process an /etc/hosts of its own")
    port, *_ = free_row(5)
    with TemporaryDirectory(prefix="s-") as home:
        hosts, log = Path(home) / "hosts", Path(home) / "log"
        (Path(home) / "nss").write_text("hosts: files\n")  # so that a missing name is an error at once
        with (
            ThreadingHTTPServer(("127.0.0.2", 0), Handlers) as first,
            ThreadingHTTPServer(("127.0.0.3", first.server_port), Handlers) as second,
        ):
            for server in (first, second):
                Thread(target=server.serve_forever, daemon=True).start()
            result = Node(f"http://127.0.0.1:{port}", hosts)
            result.name_leads_to("127.0.0.2")
            origin = ["--origin", f"{NAME}:{first.server_port}", "--port", str(port), "--host", "127.0.0.1"]
            shirase = [sys.executable, "-m", "shirase", "proxy", *origin, "--data-dir", home]
            script = f'mount --bind {hosts} /etc/hosts && mount --bind {home}/nss /etc/nsswitch.conf && exec "$@"'
            child = Child(
                "node",
                ["unshare", "--mount", "sh", "-c", script, "sh", *shirase],
                {**os.environ, "PUSHPIN_SIG_KEY": "k" * 32, "PYTHONPATH": os.pathsep.join(sys.path)},
                mark=home,
            )
            with log.open("wb") as output:
                child.start(output)
            try:
                wait_until(lambda: result.answer("/x")[0] == 200, READY_TIMEOUT, log.read_text)
                yield result
            finally:
                child.stop(SOON)
                first.shutdown()
                second.shutdown()


def test_a_node_follows_the_name_of_its_handlers(node: Node) -> None:
    node.waits_for("/x", 200, "127.0.0.2")
    node.name_leads_to("127.0.0.3")
    node.waits_for("/x", 200, "127.0.0.3")


def test_handlers_without_an_address_are_a_503_at_once(node: Node) -> None:
    node.name_leads_to()
    node.waits_for("/x", 503)


def test_a_node_is_alive_while_its_handlers_are_not(node: Node) -> None:
    node.name_leads_to()
    node.waits_for("/healthz", 503)
    assert node.answer("/livez") == (200, '{"status":"ok"}')
