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

# Pushpin forwards the Server header, so it names the service without software and version.
wsgi.SERVER = "shirase"

worker_class = "shirase.run.gunicorn_worker.DeadlineWorker"
workers = 2
threads = 8

# The proxy's connections are local and cheap to open. A restart could close a keep-alive connection just as the next
# request is written to it: a 502, or a stream that is refused for some seconds. A new connection waits in the
# backlog of the master's socket.
keepalive = 0

# Otherwise Grip_Last would count as Grip-Last, which the proxy strips from clients' requests. It is gunicorn's default,
# but security depends on it, so it is set explicitly.
header_map = "drop"

# Gunicorn accepts these two from local peers, and the proxy is one and forwards the headers of any client:
# `SCRIPT_NAME: /x` would turn /x/metrics, which no route of the proxy hides, into /metrics.
forwarder_headers = ""

graceful_timeout = 5  # longer than any wait of a handler
timeout = 30
# Gunicorn's control socket is in the home directory, where two copies would collide; it is not used.
control_socket_disable = True
# Gunicorn's access log prints query strings, which may contain tokens.
accesslog = None
loglevel = "warning"


class Logger(glogging.Logger):  # type: ignore[misc]
    """Gunicorn's log lines in the format of all others."""

    def setup(self, cfg: Any) -> None:
        """Pass the lines on. Invalid settings are reported later, when the application reads them."""
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        logs.start("INFO", as_json=os.environ.get("LOG_FORMAT", "").strip().lower() == "json")

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Log why a request is invalid, without its content."""
        if msg.startswith("Invalid request from"):
            msg = ": ".join(msg.split(": ")[:2])
        super().warning(msg, *args, **kwargs)


logger_class = Logger

# Where the workers write their metrics, so that each of them can serve /metrics for all. `shirase up` sets a directory
# that the relay shares.
METRICS = "PROMETHEUS_MULTIPROC_DIR"
_made = None if os.environ.get(METRICS) else tempfile.mkdtemp(prefix="shirase-metrics-")
Path(os.environ.setdefault(METRICS, _made or "")).mkdir(mode=0o700, parents=True, exist_ok=True)
# Beside it, the shared counts of the rate limits. (The metrics library reads every file that ends in .db.)
os.environ.setdefault("RATE_LIMIT_FILE", f"{os.environ[METRICS]}/rate-limits")

# The master imports the code once and forks the workers: a replaced worker serves at once, not after a second of
# imports, and all share that memory. Each worker opens its connections, files and threads itself, when it loads
# `shirase.wsgi`; so this is not gunicorn's `preload_app`. A new version needs a new master.
# It comes after the settings above, because the metrics read their directory when they are imported.
importlib.import_module("shirase.flask.app")
# Exclude the imported code from garbage collection, and collect less often: a batch of a thousand creates some ten
# thousand objects that live until its response, and by default Python would scan them and all code a dozen times.
gc.freeze()
gc.set_threshold(20_000, 20, 20)


def child_exit(_server: Any, worker: Any) -> None:
    """Remove the gauges of a worker that has ended; its counters stay."""
    from prometheus_client.multiprocess import mark_process_dead  # noqa: PLC0415 - the directory is set by now

    mark_process_dead(worker.pid)  # type: ignore[no-untyped-call]


def on_exit(server: Any) -> None:
    """Remove the directory that this module created, unless a new master uses it."""
    if _made and not server.reexec_pid:
        shutil.rmtree(_made, ignore_errors=True)
