"""A real HTTP server that webhooks are sent to, and that fails in every way there is."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ssl import SSLContext
from typing import Any

LONGEST = 20.0  # seconds that it hangs


@dataclass
class Got:
    """A request that arrived whole."""

    path: str
    headers: dict[str, str]
    body: bytes
    at: float = field(default_factory=time.monotonic)
    lost: bool = False  # accepted, and the answer was lost


@dataclass
class Sink:
    """The server; ``mode`` is what it does with the next requests."""

    url: str = ""
    mode: str = "ok"  # ok, drop, lose, hang, drip, endless, bomb, redirect, or a status
    got: list[Got] = field(default_factory=list)  # every request, in order
    accepted: list[Got] = field(default_factory=list)  # those that were answered with success
    released: threading.Event = field(default_factory=threading.Event)
    before_answer: Callable[[Got], None] = lambda _: None


@contextmanager
def sink(context: SSLContext | None = None) -> Iterator[Sink]:  # noqa: C901 - a handler has many small methods
    """Run one on a free port, with TLS if a context is given."""
    made = Sink()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:  # its sender was killed
                self.close_connection = True
                return
            request = Got(self.path, {name.lower(): value for name, value in self.headers.items()}, body)
            made.got.append(request)
            made.before_answer(request)
            getattr(self, f"_{made.mode}", self._status)(request)

        def do_GET(self) -> None:
            made.got.append(Got(self.path, {}, b"GET"))
            self._answer(200)

        def _answer(self, status: int, **headers: str) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": "0"} | headers).items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()

        def _ok(self, request: Got) -> None:
            made.accepted.append(request)
            self._answer(204)

        def _status(self, _: Got) -> None:
            self._answer(int(made.mode))

        def _busy(self, _: Got) -> None:
            self._answer(503, Retry_After="600")

        def _redirect(self, _: Got) -> None:
            self._answer(307, Location=f"{made.url}/elsewhere")

        def _drop(self, _: Got) -> None:
            self.close_connection = True
            self.connection.close()

        def _lose(self, request: Got) -> None:
            request.lost = True
            made.accepted.append(request)
            self._drop(request)

        def _hang(self, _: Got) -> None:
            made.released.wait(LONGEST)

        def _drip(self, _: Got) -> None:
            """One byte at a time, each in time."""
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            until = time.monotonic() + LONGEST
            while time.monotonic() < until and not made.released.wait(0.05):
                self.wfile.write(b"X")
                self.wfile.flush()

        def _endless(self, request: Got) -> None:
            made.accepted.append(request)
            self.send_response(200)
            self.end_headers()
            self.close_connection = True
            while not made.released.is_set():
                self.wfile.write(b"x" * 65_536)

        def _bomb(self, _: Got) -> None:
            """A small answer that becomes 4 GiB when it is decompressed."""
            member = gzip.compress(bytes(2**24))
            self._answer(200, **{"Content_Encoding": "gzip", "Content-Length": str(len(member) * 256)})
            for _number in range(256):
                self.wfile.write(member)

        def handle_one_request(self) -> None:
            try:
                super().handle_one_request()
            except OSError:
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if context:  # the handshake is a handler's: one that fails ends no other
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield made
    finally:
        made.released.set()
        server.shutdown()
        thread.join()
        server.server_close()
