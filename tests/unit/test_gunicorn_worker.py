"""Our worker replaces a part of gunicorn's thread worker, so the parts that it relies on must not change unnoticed."""

import hashlib
import inspect

from gunicorn.http.parser import Parser
from gunicorn.workers.base import Worker
from gunicorn.workers.gthread import TConn, ThreadWorker

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
