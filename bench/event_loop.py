"""``python -m bench.event_loop``: what a control port that hangs costs the other routes of a FastAPI application.

One uvicorn process creates 200 notifications a second on PostgreSQL, while an unrelated route is asked 50 times a
second. The control port takes turns between answering and hanging; compared are the p99 of the unrelated route.
"""

import argparse
import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from typing import Any

import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from shirase.fastapi import Notifier, notify
from shirase.settings import Settings
from shirase.store.database import parse_url
from shirase.store.migrate import migrate
from tests.support.control_port import ControlPort, control_port
from tests.support.loop_thread import wait_until
from tests.support.postgres import cluster
from tests.support.stack import free_ports

NOTIFIES, ASKED = 200, 50  # a second
USERS = 100
MOST = 2.0  # times the p99 with a control port that answers
START = 30.0  # seconds
PUBLISH_TIMEOUT = 2.0  # seconds


def create_app() -> FastAPI:
    """The application: one route that notifies, and one that does nothing."""
    app = FastAPI()
    url = parse_url(os.environ["DATABASE_URL"]).url.set(drivername="postgresql+asyncpg")
    sessions = async_sessionmaker(create_async_engine(url, pool_size=10))
    Notifier(Settings.from_env(os.environ, tokens=False)).attach(sessions)
    numbers = count()

    @app.post("/notify")
    async def create() -> None:
        async with sessions.begin() as session:
            await notify(session, user_id=next(numbers) % USERS, type="bench", title="title", message="")

    @app.get("/unrelated")
    async def unrelated() -> None:
        pass

    return app


@contextmanager
def served(control: ControlPort) -> Iterator[str]:
    """Run it under uvicorn; yields its address."""
    with cluster() as postgres:
        database_url = postgres.create("loop")
        migrate(database_url)
        port = free_ports(1)[0]
        environ = {"DATABASE_URL": database_url, "GRIP_URL": control.url, "PUSHPIN_SIG_KEY": "k" * 32}
        environ["PUBLISH_TIMEOUT"] = str(PUBLISH_TIMEOUT)
        options = ["--factory", "--port", str(port), "--log-level", "warning"]
        command = [sys.executable, "-m", "uvicorn", "bench.event_loop:create_app", *options]
        server = subprocess.Popen(command, env={**os.environ, **environ})
        try:
            address = f"http://127.0.0.1:{port}"
            wait_until(lambda: _answers(address), START, "uvicorn does not answer")
            yield address
        finally:
            server.terminate()
            server.wait(START)


def measure(seconds: float, rounds: int, rate: int = NOTIFIES) -> tuple[float, float]:
    """The median p99 of the unrelated route in milliseconds: while the control port answers, and while it hangs."""
    result: dict[str, list[float]] = {"accept": [], "hang": []}
    with control_port() as control, served(control) as address:
        asyncio.run(_drive(address, min(seconds, 2.0), rate))  # warm
        for _ in range(rounds):
            for behaviour, times in result.items():
                control.behaviour = behaviour
                times.append(asyncio.run(_drive(address, seconds, rate)))
    return statistics.median(result["accept"]), statistics.median(result["hang"])


async def _drive(address: str, seconds: float, rate: int) -> float:
    """Send both kinds of requests at their rates; the p99 of the unrelated route in milliseconds."""
    taken: list[float] = []

    async def ask() -> None:
        began = time.perf_counter()
        await _request(address, "GET /unrelated")
        taken.append((time.perf_counter() - began) * 1000)

    create = partial(_request, address, "POST /notify")
    await asyncio.gather(_at_rate(create, rate, seconds), _at_rate(ask, ASKED, seconds))
    return statistics.quantiles(taken, n=100)[98]


async def _request(address: str, what: str) -> None:
    """Without a client library, which would take as much of the processor as the application."""
    host, _, port = address.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"{what} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), START)
    writer.close()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(answer.decode())


async def _at_rate(send: Callable[[], Coroutine[Any, Any, None]], rate: int, seconds: float) -> None:
    """Send so many a second, whether or not the earlier ones are answered."""
    began = time.perf_counter()
    async with asyncio.TaskGroup() as sent:
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            sent.create_task(send())


def _answers(address: str) -> bool:
    try:
        return httpx.get(f"{address}/unrelated", trust_env=False).is_success
    except httpx.TransportError:
        return False


def main() -> int:
    """Measure and print; exit with 1 if a hanging control port costs more than twice the p99."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--rounds", type=int, default=5)
    arguments = options.parse_args()
    answering, hanging = measure(arguments.seconds, arguments.rounds)
    sys.stdout.write(f"p99 of an unrelated route: {answering:.1f} ms while the control port answers, ")
    sys.stdout.write(f"{hanging:.1f} ms while it hangs\n")
    return int(hanging > MOST * answering)


if __name__ == "__main__":
    sys.exit(main())
