"""``shirase proxy``: one Pushpin node in the foreground."""

import os
import signal
import time
from collections.abc import Callable

from shirase.run.node import (
    SLACK,
    ProxyConfig,
    installed_version,
    node_environment,
    raise_file_limit,
    write_configuration,
)
from shirase.run.processes import Child, reap_orphans
from shirase.run.routes import Routes

POLL = 0.1  # seconds between two checks of the node
GRACE = 6.0  # seconds that it may take to stop


def run_proxy(config: ProxyConfig, drain: Callable[[Callable[[], bool]], None] | None = None) -> int:
    """Run a Pushpin node until it ends, or until SIGINT or SIGTERM; returns the exit code.

    Args:
        config: the node.
        drain: called before a stop; it returns early if its argument does: at a second signal, or if the node ends.

    Raises:
        ProxyMissing: if Pushpin is not installed.
    """
    stopping: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, _frame: stopping.append(number))
    command = write_configuration(config, installed_version())
    child = Child("pushpin", command, node_environment(os.environ), mark=str(config.run_dir), slack=SLACK)
    child.kill()  # processes that a killed node may have left behind
    raise_file_limit()
    try:
        with Routes(config, child):
            child.start()
            while not stopping and child.exit_code() is None:
                reap_orphans({child.pid} if child.pid else set())
                time.sleep(POLL)
            if drain and stopping:
                drain(lambda: len(stopping) > 1 or child.exit_code() is not None)
        return 0 if stopping else 1
    finally:
        child.stop(GRACE)
