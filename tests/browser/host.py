"""A host application: a web server on another origin than the service's."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

SLACK = 0.05  # seconds to stop


class _Files(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        """Add what docs/bell.md puts on a token's answer."""
        if self.path.endswith("/my-token"):
            self.send_header("Cache-Control", "no-store")
            self.send_header("Vary", "*")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@contextmanager
def serve(directory: Path) -> Iterator[str]:
    """Serve files until the end of the block; yields the origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(directory)))
    thread = Thread(target=server.serve_forever, args=(SLACK,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
