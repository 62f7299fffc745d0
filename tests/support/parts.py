"""The processes of a service, wherever they run: how tests start them, sign for them and read their logs."""

import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from shirase.access import tickets, tokens
from shirase.access.tokens import Identity
from shirase.run.processes import Child
from shirase.run.readiness import wait_for_stream
from shirase.run.supervisor import PROBED
from shirase.settings import Settings

READY_TIMEOUT = 30.0


class Parts(ABC):
    """A context manager for the time that they run. Start processes in the main thread only (see ``Child.start``)."""

    urls: list[str]  # of the nodes, for clients

    def __init__(self, data_dir: Path, settings_env: Mapping[str, str]) -> None:
        """Prepare for processes with these settings."""
        self.settings_env = dict(settings_env)
        self.settings = Settings.from_env(self.settings_env)
        self.log_dir = data_dir / "log"
        self.log_dir.mkdir(parents=True, exist_ok=True)
        self._data_dir = data_dir.resolve()

    @property
    def url(self) -> str:
        """The first node's."""
        return self.urls[0]

    @abstractmethod
    def __enter__(self) -> Self:
        """Start everything and wait until every node serves."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything."""
        self.close()

    @abstractmethod
    def close(self) -> None:
        """Stop everything, in any state."""

    def wait_ready(self, urls: Sequence[str] = ()) -> None:
        """Wait until a stream can be opened through every node."""
        for url in urls or self.urls:
            if not wait_for_stream(url, lambda: self.ticket("stack-ready", PROBED), READY_TIMEOUT, lambda: True):
                raise TimeoutError(f"no stream through {url} in {READY_TIMEOUT} s\n{self.logs()}")

    def token(self, user: str, scope: str = "") -> str:
        """Sign a token."""
        return tokens.mint(self.settings, user, scope=scope)

    def ticket(self, user: str, lasting: int = 3600) -> str:
        """Issue a ticket; its stream ends after ``lasting`` seconds."""
        return tickets.issue(self.settings, Identity(user, expires_at=int(time.time()) + lasting))

    def restart_ended(self) -> list[str]:
        """Restart the processes that ended, as a supervisor does, and return their names."""
        ended = [child for child in self._children if child.exit_code() is not None]
        for child in ended:
            child.kill()  # processes that it left behind would keep its ports
            self._start(child)
        return [child.name for child in ended]

    @property
    @abstractmethod
    def _children(self) -> list[Child]:
        """All processes."""

    def logs(self) -> str:
        """Return the end of every log, to explain a failure."""
        return "\n".join(f"== {path.name}\n{path.read_text()[-2000:]}" for path in sorted(self.log_dir.iterdir()))

    def _child(self, name: str, command: list[str], slack: float = 0.0, **env: str) -> Child:
        environ = {**os.environ, **self.settings_env, **env, "PYTHONPATH": os.pathsep.join(sys.path)}
        return Child(name, command, environ, mark=f"{self._data_dir}/{name}", slack=slack)

    def _start(self, child: Child) -> None:
        with (self.log_dir / f"{child.name}.log").open("ab") as log:
            child.start(log)
