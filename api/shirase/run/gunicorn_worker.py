"""The worker that runs the handlers: gunicorn's own with threads, whose threads fetch their requests themselves.

Gunicorn's main thread accepts, hands over to a pool, is told the end and waits until the other side has closed, all of
it for each request and one after the other. That cost as much as some handlers, and held up all of them. Here each
thread accepts, answers and closes; the main thread says that the worker lives, and looks for what is late.
"""

import os
import select
import socket
import time
from contextlib import suppress
from threading import Thread
from typing import Any

from gunicorn.workers.gthread import TConn, ThreadWorker

from shirase.settings import request_timeout

LOOK = 1.0  # seconds between two looks for what is late
FAILED = 0.1  # seconds until the next try, where there is no file left for a connection


class DeadlineWorker(ThreadWorker):  # type: ignore[misc]
    """Stops reading from whoever has not sent a request whole in ``REQUEST_TIMEOUT``.

    Gunicorn reads without any limit of time. The proxy passes a body on while it still arrives, as soon as it is larger
    than a buffer of some kilobytes; so a few uploads, a byte a second, would hold all threads of all workers.
    """

    alive: bool  # gunicorn's own: until it is told to end

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Begin with no request under way."""
        super().__init__(*args, **kwargs)
        self._deadlines: dict[TConn, float] = {}

    def run(self) -> None:
        """Answer until told to end, and then what has been accepted, for ``graceful_timeout`` at the most."""
        self._patience = request_timeout(os.environ)  # seconds
        ended, end = socket.socketpair()
        threads = [Thread(target=self._serve, args=(ended,), daemon=True) for _ in range(self.cfg.threads)]
        for thread in threads:
            thread.start()
        while self.alive and self.is_parent_alive():
            self.notify()
            if select.select([self.PIPE[0]], [], [], LOOK)[0]:  # a signal
                os.read(self.PIPE[0], 4096)
            self._end_late()
            if not all(thread.is_alive() for thread in threads):
                # Whatever ended one, such as SystemExit in the application, will end the others too.
                self.log.critical("a thread has ended: this worker gives way to a new one")
                break
        self.alive = False
        end.close()  # which all threads see that wait for requests
        last = time.monotonic() + self.cfg.graceful_timeout  # which is less than the master's patience
        for thread in threads:
            thread.join(max(0.0, last - time.monotonic()))

    def _serve(self, ended: socket.socket) -> None:
        """One thread: accept, answer, close."""
        with select.epoll() as waiting:
            waiting.register(ended, select.EPOLLIN)
            for listener in self.sockets:
                # Of all threads of all workers that wait, one is woken for each connection.
                waiting.register(listener, select.EPOLLIN | select.EPOLLEXCLUSIVE)
            listeners = {listener.fileno(): listener for listener in self.sockets}
            while self.alive:
                for number, _ in waiting.poll():
                    if self.alive and number in listeners:
                        self._accept(listeners[number])

    def _accept(self, listener: Any) -> None:
        try:
            sock, client = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # another thread was quicker, or the client has gone
        except OSError:
            self.log.exception("a connection could not be accepted")
            time.sleep(FAILED)
            return
        conn = TConn(self.cfg, sock, client, listener.getsockname())
        conn.data_ready = True  # or it is late
        self._deadlines[conn] = time.monotonic() + self._patience
        try:
            self.handle(conn)
        except Exception:
            self.log.exception("a request could not be answered")
        finally:
            self._deadlines.pop(conn, None)
            conn.close(graceful=True)

    def _end_late(self) -> None:
        now = time.monotonic()
        for conn, deadline in self._deadlines.copy().items():
            if deadline < now:
                # The thread that waits for more meets the end. One that has read all and works is not disturbed:
                # connections serve one request each (see gunicorn_config), so there is nothing more to read.
                with suppress(OSError):
                    conn.sock.shutdown(socket.SHUT_RD)
