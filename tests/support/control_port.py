"""A control port that records the posted items, and fails on request."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

HUNG = 60.0  # seconds, above every timeout in the tests


class ControlPort(ThreadingHTTPServer):
    """Answers 200 and records the items, unless ``behaviour`` is changed."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.behaviour = "accept"  # or "fail", "hang"
        self.on_post: Callable[[], object] = lambda: None
        self.posts: list[list[dict[str, Any]]] = []
        self.authorizations: list[str | None] = []
        self.released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @property
    def items(self) -> list[dict[str, Any]]:
        return [item for post in self.posts for item in post]

    @property
    def seqs(self) -> list[int]:
        """The number of each event in its user's log."""
        return [int(item["id"].partition(".")[0]) for item in self.items]


class _Handler(BaseHTTPRequestHandler):
    server: ControlPort

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.authorizations.append(self.headers["Authorization"])
        self.server.on_post()
        if self.server.behaviour == "hang":
            self.server.released.wait(HUNG)
            return
        failed = self.server.behaviour == "fail"
        if not failed:
            self.server.posts.append(orjson.loads(body)["items"])
        self.send_response(500 if failed else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def control_port() -> Iterator[ControlPort]:
    with ControlPort() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()
