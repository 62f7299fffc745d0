"""Peers that are compared where their programs are: Centrifugo on PostgreSQL, and Mercure on its Bolt file.

Neither has an inbox, counts or read states: what they store are the events of a channel.
"""

import os
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jwt
import orjson
import psycopg

from bench.designs import CONTENT, STATIC_KEY, Design, process, server_pids, wait_for
from bench.load import request
from bench.machine import tree
from tests.support.postgres import Cluster
from tests.support.stack import free_row

CENTRIFUGO, MERCURE = "Centrifugo", "Mercure"
KEPT = 24 * 3600  # seconds


class _Server(Design):
    """A single program that does everything."""

    accepted = 200

    def __init__(self, name: str, program: str, directory: Path, cluster: Cluster | None = None) -> None:
        super().__init__(name)
        directory.mkdir(parents=True, exist_ok=True)
        self._program, self._directory, self._cluster = program, directory.resolve(), cluster
        self._port = free_row(1)[0]
        self.address = self.producers = f"127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    @contextmanager
    def _running(self) -> Iterator[None]:
        words = [self._program, *self._arguments()]
        with (self._directory / "log").open("ab") as log, process(words, log.fileno(), dict(os.environ)) as running:
            wait_for(self._port)
            self._process = running
            yield

    def _arguments(self) -> list[str]:
        """Write the configuration, and return the arguments that name it."""
        raise NotImplementedError

    def parts(self) -> dict[str, list[int]]:
        own = tree(self._process.pid) if self._process else []
        return {"python": [], "proxy": own, "database": server_pids(self._cluster)}


class Centrifugo(_Server):
    """Centrifugo 6 with PostgreSQL as its broker: a publish is a row, which wakes the delivery.

    Its unidirectional SSE takes no ``Last-Event-ID``, so a plain EventSource loses what it missed.
    """

    def __init__(self, name: str, program: str, directory: Path, database_url: str, cluster: Cluster) -> None:
        super().__init__(name, program, directory, cluster)
        self._database_url = database_url

    def _arguments(self) -> list[str]:
        path = self._directory / "config.json"
        configuration: dict[str, Any] = {
            "http_server": {"address": "127.0.0.1", "port": self._port},
            "log": {"level": "error"},
            "client": {"token": {"hmac_secret_key": STATIC_KEY}},
            "http_api": {"insecure": True},
            "uni_sse": {"enabled": True},
            "channel": {"without_namespace": {"history_size": 1000, "history_ttl": f"{KEPT}s"}},
            "broker": {
                "enabled": True,
                "type": "postgres",
                "postgres": {"dsn": f"{self._database_url}?sslmode=disable", "use_notify": True},
            },
        }
        path.write_bytes(orjson.dumps(configuration))
        return ["--config", str(path)]

    def create(self, users: Sequence[str], producer: int = 0) -> bytes:  # noqa: ARG002
        body = {"channel": users[0], "data": CONTENT}
        return request("POST", "/api/publish", "none", orjson.dumps(body))

    def stream(self, user: str, *, replay: int = 0) -> bytes:
        if replay:
            raise ValueError("an EventSource cannot resume it")
        token = jwt.encode({"sub": user, "channels": [user]}, STATIC_KEY)
        query = urlencode({"cf_connect": orjson.dumps({"token": token})})
        return request("GET", f"/connection/uni_sse?{query}", "none")

    def stored(self) -> int:
        with psycopg.connect(self._database_url) as connection:
            result = connection.execute("SELECT count(*) FROM cf_stream").fetchone()
        return int(result[0]) if result else 0


class Mercure(_Server):
    """A Mercure hub, which keeps all updates in one Bolt file."""

    recovers = True

    def _arguments(self) -> list[str]:
        path = self._directory / "Caddyfile"
        path.write_text(f"""
            {{
                admin off
                auto_https off
                log {{
                    level ERROR
                }}
            }}
            http://127.0.0.1:{self._port} {{
                mercure {{
                    transport bolt {{
                        path {self._directory}/updates.db
                    }}
                    publisher_jwt {STATIC_KEY}
                    subscriber_jwt {STATIC_KEY}
                    anonymous
                }}
            }}
        """)
        return ["run", "--config", str(path), "--adapter", "caddyfile"]

    def create(self, users: Sequence[str], producer: int = 0) -> bytes:  # noqa: ARG002
        token = jwt.encode({"mercure": {"publish": ["*"]}}, STATIC_KEY)
        body = urlencode({"topic": users[0], "data": orjson.dumps(CONTENT)}).encode()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        return request("POST", "/.well-known/mercure", token, body, form)

    def stream(self, user: str, *, replay: int = 0) -> bytes:
        token = jwt.encode({"mercure": {"subscribe": ["*"]}}, STATIC_KEY)
        seen = {"Last-Event-ID": "earliest"} if replay else {}
        return request("GET", f"/.well-known/mercure?{urlencode({'topic': user})}", token, headers=seen)


def programs(environ: Mapping[str, str], report: Callable[[str], None]) -> dict[str, str]:
    """The programs that the environment names, by peer; a peer without one is reported."""
    for name in (CENTRIFUGO, MERCURE):
        if not environ.get(name.upper()):
            report(f"{name} is left out: {name.upper()} does not name its program")
    return {name: environ[name.upper()] for name in (CENTRIFUGO, MERCURE) if environ.get(name.upper())}


def designs(chosen: Mapping[str, str], postgres: Cluster, directory: Path) -> dict[str, Callable[[], Design]]:
    """Return the peers of these programs, each with its own storage."""
    makers: dict[str, Callable[[str], Design]] = {
        CENTRIFUGO: lambda program: Centrifugo(
            CENTRIFUGO, program, directory / "centrifugo", postgres.create(f"centrifugo_{directory.name}"), postgres
        ),
        MERCURE: lambda program: Mercure(MERCURE, program, directory / "mercure"),
    }
    return {name: partial(makers[name], program) for name, program in chosen.items()}
