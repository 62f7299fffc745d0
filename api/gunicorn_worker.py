"""The worker that runs the handlers: gunicorn's own with threads, which a request cannot hold by arriving slowly."""

import socket
import time
from contextlib import suppress
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker


class DeadlineWorker(ThreadWorker):  # type: ignore[misc]
    """Stops reading from whoever has not sent a request whole in ``REQUEST_TIMEOUT``.

    Gunicorn reads without any limit of time. The proxy passes a body on while it still arrives, as soon as it is larger
    than a buffer of some kilobytes; so a few uploads, a byte a second, would hold all threads of all workers.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin with no request under way."""
        super().__init__(*args, **kwargs)
        self._deadlines: dict[TConn, float] = {}

    def handle(self, conn: TConn) -> Any:
        """Serve one request, in a thread of the pool."""
        self._deadlines[conn] = time.monotonic() + self.wsgi.extensions["shirase"].settings.request_timeout
        try:
            return super().handle(conn)
        finally:
            self._deadlines.pop(conn, None)

    def murder_keepalived(self, *args: Any, **kwargs: Any) -> None:
        """Look for what is too old: the main thread comes here about once a second."""
        super().murder_keepalived(*args, **kwargs)
        now = time.monotonic()
        for conn, deadline in self._deadlines.copy().items():
            if deadline < now:
                # The thread that waits for more meets the end. One that has read all and works is not disturbed:
                # connections serve one request each (see gunicorn_config), so there is nothing more to read.
                with suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)
