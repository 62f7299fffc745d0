"""The designs that are compared: each starts its servers on free ports and builds the requests to them."""

import os
import socket
import subprocess
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self

import httpx
import jwt
import orjson
import psycopg
from sqlalchemy import create_engine, text

from bench.load import STAMP, request
from bench.machine import processor_seconds, thread_seconds, tree
from shirase.inbox import cursors, events
from shirase.inbox.drafts import NewNotification
from shirase.run.node import ProxyConfig, installed_version, raise_file_limit, run_directory, write_configuration
from shirase.run.processes import family
from shirase.run.readiness import wait_for_stream
from shirase.types import NOTIFICATION, START, Event, EventId, Notification
from tests.support.postgres import Cluster
from tests.support.stack import Stack, free_row

PRODUCERS = 16  # that create notifications
SETTLED = 60.0  # seconds until everything accepted must be stored and delivered
LISTENING = "listening"  # with it begin the names of users that get what is created while others' streams open
CONTENT = {
    "type": "bench.created",
    "title": f"Interview {STAMP}",
    "message": "Tomorrow at ten. " * 6,
    "payload": {"n": 18},
}
STATIC_KEY = "s" * 32
KEEP_ALIVE = r"event: heartbeat\\ndata: {}\\n\\n; format=cstring; timeout=30; mode=idle"


class Design(ABC):
    """A design. Use it as a context manager."""

    address: str  # HOST:PORT where streams are opened
    producers: str  # where notifications are created
    accepted = 201  # the status of a create
    keeps_log = False  # whether it can replay
    keeps_up = True  # whether it delivers all that it accepts at full load
    recovers = False  # whether a stream that returns gets what it missed

    def __init__(self, name: str) -> None:
        self.name = name
        self._open = ExitStack()

    def __enter__(self) -> Self:
        """Start the servers and wait until they serve."""
        raise_file_limit()
        with ExitStack() as starting:
            starting.enter_context(self._running())
            self._open = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the servers."""
        self._open.close()

    @abstractmethod
    def _running(self) -> AbstractContextManager[None]: ...

    @abstractmethod
    def create(self, users: Sequence[str], producer: int = 0) -> bytes:
        """Build a request that creates a notification for each of these users."""

    @abstractmethod
    def stream(self, user: str, *, replay: int = 0) -> bytes:
        """Build a request that opens a stream, with a cursor before the first event if some are to be replayed."""

    @abstractmethod
    def parts(self) -> dict[str, list[int]]:
        """Return the process ids of ``python``, ``proxy`` and ``database``."""

    def processor_seconds(self) -> dict[str, float]:
        """Return the processor time that each part has used."""
        return {part: processor_seconds(pids) for part, pids in self.parts().items()}

    def stored(self) -> int:
        """Count the committed notifications; -1 if the design stores none."""
        return -1

    def unpublished(self) -> int:
        """Count the unpublished events."""
        return 0


class Shirase(Design):
    """The service as ``shirase up`` runs it: two workers, a relay, one Pushpin."""

    keeps_log = recovers = True

    def __init__(
        self,
        name: str,
        database_url: str,
        directory: Path,
        cluster: Cluster | None,
        workers: int = 2,
        env: Mapping[str, str] = MappingProxyType({}),
        **options: Any,
    ) -> None:
        """``options`` are of ``Stack``."""
        super().__init__(name)
        limits = {"SSE_MAX_CONNECTIONS_PER_USER": "10000", "RATE_LIMIT_CONNECTS": "off", "RATE_LIMIT_CREATES": "off"}
        self.stack = Stack(database_url, directory, workers=workers, env={**limits, **env}, **options)
        self._directory, self._cluster = directory, cluster
        self.address = self.producers = self.stack.url.removeprefix("http://")
        self.origin = self.stack.origin_url.removeprefix("http://")
        self.engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
        self._tokens = [self.stack.token(f"producer-{n}", "notifications:write") for n in range(PRODUCERS)]

    @contextmanager
    def _running(self) -> Iterator[None]:
        with self.stack:
            yield
        self.engine.dispose()

    def create(self, users: Sequence[str], producer: int = 0) -> bytes:
        path = "/api/notifications"
        each = [{**CONTENT, "user_id": user} for user in users]
        body: dict[str, Any] = each[0]
        if len(each) > 1:
            path, body = f"{path}/batch", {"notifications": each}
        return request("POST", path, self._tokens[producer % PRODUCERS], orjson.dumps(body))

    def broadcast(self, users: Sequence[str]) -> bytes:
        """Build a request that creates the same notification for all these users."""
        body = orjson.dumps({**CONTENT, "user_ids": users})
        return request("POST", "/api/notifications/broadcast", self._tokens[0], body)

    def stream(self, user: str, *, replay: int = 0) -> bytes:
        seen = {"Last-Event-ID": self.start_of(user)} if replay else {}
        return request("GET", "/api/sse/notifications", self.stack.token(user), headers=seen)

    def ask(self, method: str, path: str, user: str, body: bytes = b"") -> bytes:
        """Build a user's own request."""
        return request(method, f"/api/notifications{path}", self.stack.token(user), body)

    def start_of(self, user: str) -> str:
        """Return the cursor before the user's first event."""
        return cursors.encode(self._database_name, user, START)

    @cached_property
    def _database_name(self) -> str:
        return str(self._query("SELECT name FROM shirase_database_name"))

    def parts(self) -> dict[str, list[int]]:
        root = self._directory.resolve()
        python = [pid for name in ("gunicorn", "relay-0") for pid in family(f"{root}/{name}")]
        proxy = [pid for node in range(len(self.stack.proxies)) for pid in family(f"{root}/pushpin-{node}")]
        return {"python": python, "proxy": proxy, "database": server_pids(self._cluster)}

    def processor_seconds(self) -> dict[str, float]:
        used = super().processor_seconds()
        used["python"] += thread_seconds("standby")  # which runs in this process
        return used

    def relay(self) -> list[int]:
        """Return the process ids of the relay."""
        return family(f"{self._directory.resolve()}/relay-0")

    def relays(self) -> list[int]:
        """Return the process ids of all relays."""
        names = (path.stem for path in self.stack.log_dir.glob("relay-*.log"))
        return [pid for name in names for pid in family(f"{self._directory.resolve()}/{name}")]

    def stored(self) -> int:
        return self.count("notifications")

    def unpublished(self) -> int:
        return self.count("events WHERE published_at IS NULL")

    def handled(self) -> float:
        """Count the requests that the handlers answered, without those for this figure."""
        lines = httpx.get(f"{self.stack.origin_url}/metrics", timeout=SETTLED).text.splitlines()
        counts = [line for line in lines if line.startswith("shirase_http_requests_total{")]
        return sum(float(line.rpartition(" ")[2]) for line in counts if "metrics" not in line)

    def count(self, rows: str) -> int:
        """Count rows of a table."""
        return int(self._query(f"SELECT count(*) FROM shirase_{rows}"))

    def _query(self, statement: str) -> Any:
        with self.engine.connect() as connection:
            return connection.execute(text(statement)).scalar()


class InMemory(Design):
    """The usual design: ``in_memory.py``, one process."""

    def __init__(self, name: str, database_url: str, directory: Path, cluster: Cluster) -> None:
        super().__init__(name)
        self._port = free_row(1)[0]
        self.address = self.producers = f"127.0.0.1:{self._port}"
        self._url, self._cluster, self._log = database_url, cluster, directory / "uvicorn.log"
        directory.mkdir(parents=True, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        self._token = jwt.encode({"sub": "producer"}, STATIC_KEY)

    @contextmanager
    def _running(self) -> Iterator[None]:
        address = self._url.replace("postgresql:", "postgresql+asyncpg:")
        environ = {**os.environ, "DATABASE_URL": address, "JWT_SECRET": STATIC_KEY}
        words = [sys.executable, "-m", "uvicorn", "bench.in_memory:app", "--port", str(self._port)]
        with self._log.open("ab") as log, process(words, log.fileno(), environ) as self._process:
            wait_for(self._port)
            yield

    def create(self, users: Sequence[str], producer: int = 0) -> bytes:  # noqa: ARG002 - producers are not distinguished
        if len(users) > 1:
            raise ValueError("it has no batches")
        return request("POST", "/api/notifications", self._token, orjson.dumps({**CONTENT, "user_id": users[0]}))

    def stream(self, user: str, *, replay: int = 0) -> bytes:
        if replay:
            raise ValueError("it has no log")
        return request("GET", "/api/sse/notifications", jwt.encode({"sub": user}, STATIC_KEY))

    def parts(self) -> dict[str, list[int]]:
        python = tree(self._process.pid) if self._process else []
        return {"python": python, "proxy": [], "database": server_pids(self._cluster)}

    def stored(self) -> int:
        with psycopg.connect(self._url) as connection:
            result = connection.execute("SELECT count(*) FROM notifications").fetchone()
        return int(result[0]) if result else 0


class PushpinAlone(Design):
    """The ceiling of everything behind Pushpin: holds answered by nginx from two files, and bare publishes."""

    accepted = 200
    keeps_log = True
    keeps_up = False  # its queue per connection is short, and there is no log to recover from
    hold = 'add_header Grip-Channel "u-$arg_u, c-$request_id";'  # as Shirase's, without recovery

    def __init__(self, name: str, directory: Path) -> None:
        super().__init__(name)
        directory.mkdir(parents=True, exist_ok=True)
        origin, client, control, stats, prometheus = free_row(5)
        self._directory, self._origin = directory.resolve(), origin
        self._config = ProxyConfig(
            origin=f"127.0.0.1:{origin}",
            standby=f"127.0.0.1:{origin}",
            sig_key=STATIC_KEY,
            run_dir=run_directory(directory),
            client_port=client,
            control_port=control,
            stats_port=stats,
            prometheus_port=prometheus,
        )
        self.address, self.producers = f"127.0.0.1:{client}", f"127.0.0.1:{control}"
        self._pids: list[int] = []

    @contextmanager
    def _running(self) -> Iterator[None]:
        log = (self._directory / "log").open("ab")
        nginx = ["/usr/sbin/nginx", "-c", str(self._write_origin()), "-e", str(self._directory / "nginx.log")]
        pushpin = write_configuration(self._config, installed_version())
        with log, process(nginx, log.fileno()) as origin, process(pushpin, log.fileno()) as proxy:
            if not wait_for_stream(f"http://{self.address}", lambda: "none", SETTLED, lambda: True):
                raise TimeoutError("Pushpin does not serve its static origin")
            self._pids = [*tree(proxy.pid), *tree(origin.pid)]
            yield

    def _write_origin(self) -> Path:
        content = orjson.dumps(CONTENT).decode()
        files = self._directory / "files"
        files.mkdir(exist_ok=True)
        greeting = 'event: connected\ndata: {"status":"connected"}\n\n'
        (files / "connected").write_text(greeting)
        (files / "replay").write_text(
            greeting + "".join(f"event: notification\nid: {n}\ndata: {content}\n\n" for n in range(100))
        )
        for path in (self._directory, files):
            path.chmod(0o755)  # nginx's workers are another user
        path = self._directory / "nginx.conf"
        path.write_text(f"""
            daemon off; worker_processes 1;
            pid {self._directory}/nginx.pid; user {"root" if os.getuid() == 0 else "nobody"};
            events {{ worker_connections 8192; }}
            http {{
                access_log off; default_type text/event-stream; client_body_temp_path {self._directory};
                server {{
                    listen 127.0.0.1:{self._origin} backlog=4096; root {files};
                    add_header Grip-Hold stream;
                    {self.hold}
                    add_header Grip-Keep-Alive "{KEEP_ALIVE}";
                    location /api/sse/notifications {{ try_files /connected =404; }}
                    location /api/replay {{ try_files /replay =404; }}
                }}
            }}""")
        return path

    def create(self, users: Sequence[str], producer: int = 0) -> bytes:  # noqa: ARG002
        return publish(users)

    def stream(self, user: str, *, replay: int = 0) -> bytes:
        return request("GET", f"{'/api/replay' if replay else '/api/sse/notifications'}?u={user}", "none")

    def parts(self) -> dict[str, list[int]]:
        return {"python": [], "proxy": self._pids, "database": []}


def publish(users: Sequence[str]) -> bytes:
    """Build a POST to the control port with an event for each user: Shirase's items, but for their ids."""
    formats = {"http-stream": {"content": _event()}, "http-response": {"action": "hint"}}
    # A new id each time: Pushpin drops repeats, which is cheap.
    items = [{"channel": f"u-{user}", "id": STAMP, "formats": formats} for user in users]
    return request("POST", "/publish/", "none", orjson.dumps({"items": items}))


@cache
def _event() -> str:
    """An event of Shirase's."""
    now = datetime.now(UTC)
    content = NewNotification.model_validate({**CONTENT, "user_id": "user-00001"}).draft().content
    stored = Notification(12345, "user-00001", content, now, position=12345)
    event = Event("user-00001", EventId(2, "0a1b2c"), EventId(1, "0a1b2c"), NOTIFICATION, 2, now, None, stored, 2)
    [(item, _)] = events.to_items("bench", [event])
    return item.content


def server_pids(cluster: Cluster | None) -> list[int]:
    """Return the process ids of PostgreSQL."""
    if cluster is None:
        return []
    return tree(int((cluster.directory / "data" / "postmaster.pid").read_text().split()[0]))


@contextmanager
def process(words: list[str], log: int, environ: dict[str, str] | None = None) -> Iterator["subprocess.Popen[bytes]"]:
    """Run a program, and terminate it at the end."""
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ) as running:
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(10)
            except subprocess.TimeoutExpired:
                running.kill()


def wait_for(port: int) -> None:
    """Wait until something listens on a port.

    Raises:
        TimeoutError: if nothing does in time.
    """
    deadline = time.monotonic() + SETTLED
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens on {port}")
