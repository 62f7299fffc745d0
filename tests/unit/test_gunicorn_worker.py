"""Our worker replaces a part of gunicorn's thread worker, so the parts that it relies on must not change unnoticed."""

import hashlib
import inspect
import os
import socket
import threading
from contextlib import closing
from types import SimpleNamespace
from typing import Any

from gunicorn.config import Config
from gunicorn.glogging import Logger
from gunicorn.http.parser import Parser
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import TConn, ThreadWorker

from shirase.run.gunicorn_worker import DeadlineWorker

# The replaced ``run``, and what ours calls instead of it.
RELIED_ON = (
    Parser.__init__,
    Worker.init_process,
    Worker.notify,
    TConn.__init__,
    TConn.init,
    ThreadWorker.__init__,
    ThreadWorker.init_process,
    ThreadWorker.handle_exit,
    ThreadWorker.handle_quit,
    ThreadWorker.is_parent_alive,
    ThreadWorker.run,
    ThreadWorker.handle,
    ThreadWorker.handle_request,
)
DIGEST = "9cbe1ceb4e90f796"  # with gunicorn 27.0.1


def test_gunicorn_is_as_our_worker_expects_it() -> None:
    """If it fails, compare these methods with the former release, adapt ``run/gunicorn_worker.py``, renew this."""
    sources = "".join(map(inspect.getsource, RELIED_ON))
    assert hashlib.sha256(sources.encode()).hexdigest()[:16] == DIGEST


def test_a_connection_that_wakes_an_ending_worker_is_answered() -> None:
    """The kernel wakes one thread for it, and no other if that one does not accept it."""
    settings = Config()
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        worker = _Ending(0, 0, [listener], SimpleNamespace(), 30, settings, Logger(settings))
        ended, end = socket.socketpair()
        thread = threading.Thread(target=worker.answer_one, args=(ended,))
        thread.start()
        with closing(ended), closing(end):
            worker.alive = False
            with socket.create_connection(listener.getsockname(), timeout=20) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                assert client.recv(100).startswith(b"HTTP/1.1 200")
            thread.join()
        worker.tmp.close()


class _Ending(DeadlineWorker):
    """A worker that ends while its thread waits for a connection."""

    _checks = iter([True])

    def answer_one(self, ended: socket.socket) -> None:
        self.wsgi, self._patience = _application, 20.0
        self._signal = os.eventfd(0, os.EFD_SEMAPHORE | os.EFD_NONBLOCK)
        self._serve(ended)
        os.close(self._signal)

    @property
    def alive(self) -> bool:
        return next(self._checks, False)

    @alive.setter
    def alive(self, _: bool) -> None:
        pass


def _application(_: object, start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b""]
