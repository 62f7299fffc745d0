"""How gunicorn runs the handlers: ``gunicorn -c python:shirase.run.gunicorn_config shirase.wsgi:app``."""

import gc
import importlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from gunicorn import glogging
from gunicorn.http import wsgi

from shirase import logs

# Every answer names its server, and Pushpin passes it on: say which service, not which version of what.
wsgi.SERVER = "shirase"

worker_class = "shirase.run.gunicorn_worker.DeadlineWorker"
workers = 2
threads = 8

# The proxy's connections are local and cheap to open. A kept one can be closed by a restart just as the next
# request is written to it. That would be a 502, or a stream that is sent away for some seconds. A new one
# waits in the socket that the master holds.
keepalive = 0

# Grip_Last would be taken for Grip-Last, which the proxy strips from clients' requests. This is gunicorn's own default,
# and too much stands on it to be left to one.
header_map = "drop"

# Gunicorn takes these two from whoever connects from this machine, which the proxy does with what any client sent:
# `SCRIPT_NAME: /x` would make /x/metrics the path /metrics, which no route of the proxy hides.
forwarder_headers = ""

graceful_timeout = 5  # no handler waits for anything longer
timeout = 30
# Gunicorn's control socket lies in the home directory, where two copies collide; nothing here uses it.
control_socket_disable = True
# Gunicorn's access log prints query strings, and tokens travel in them.
accesslog = None
loglevel = "warning"


class Logger(glogging.Logger):  # type: ignore[misc]
    """Gunicorn's own lines, written as all the others."""

    def setup(self, cfg: Any) -> None:
        """Hand them on; what is wrong with the settings is said when the application reads them."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        logs.start("INFO", as_json=os.environ.get("LOG_FORMAT", "").strip().lower() == "json")

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Say of a request that cannot be read what is wrong with it, and nothing of what it holds."""
        if msg.startswith("Invalid request from"):
            msg = ": ".join(msg.split(": ")[:2])
        super().warning(msg, *args, **kwargs)


logger_class = Logger

# Where the workers leave their figures for /metrics, so that whichever of them is asked answers for all. `shirase up`
# names a directory that the relay shares.
METRICS = "PROMETHEUS_MULTIPROC_DIR"
_made = None if os.environ.get(METRICS) else tempfile.mkdtemp(prefix="shirase-metrics-")
Path(os.environ.setdefault(METRICS, _made or "")).mkdir(mode=0o700, parents=True, exist_ok=True)
# Beside them, where they count requests together. (The library takes what ends in .db for its own.)
os.environ.setdefault("RATE_LIMIT_FILE", f"{os.environ[METRICS]}/rate-limits")

# The master reads the code once, and every worker is forked with it: one that takes another's place serves at once,
# not after a second of reading, and all share that memory. What is open - connections, files, threads - each worker
# makes itself, when it loads `shirase.wsgi`; so this is not gunicorn's `preload_app`. A new version needs a new master.
importlib.import_module("shirase.flask.app")  # here, since what counts asks for the directory above as it is imported
# None of it is garbage. And a batch of a thousand makes some ten thousand objects that are all in use until its answer:
# by default, Python would look through them, and through all that was read, a dozen times.
gc.freeze()
gc.set_threshold(20_000, 20, 20)


def child_exit(_server: Any, worker: Any) -> None:
    """A worker that has ended stands for nothing any more; what it counted stays."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - the directory is named by now

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Remove the directory that was made here, unless a new master has taken over with it."""
    if _made and not server.reexec_pid:
        shutil.rmtree(_made, ignore_errors=True)
