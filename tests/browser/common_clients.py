"""Existing clients, each following a user's stream as its own documentation shows."""

import json
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import httpx
import sseclient
from httpx_sse import SSEError, connect_sse
from playwright.sync_api import Page

from tests.browser.client_page import go_to_empty_page

FRONTEND = Path(__file__).parents[2] / "frontend"
RETRY = 0.5  # seconds between two attempts of the loop around a client
SILENCE = 10.0

ReceivedEvents = list[tuple[str, str]]  # the name and the data of each event
Received = tuple[str, str, str]  # the same, and the id


@contextmanager
def in_node(name: str, address: str) -> Iterator[ReceivedEvents]:
    """Run an npm package in Node."""
    received: ReceivedEvents = []
    command = ["node", "tests/clients/node.js", name, address]
    with subprocess.Popen(command, cwd=FRONTEND, stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout
        lines = node.stdout
        reading = Thread(target=lambda: received.extend(_event(line) for line in lines), daemon=True)
        reading.start()
        try:
            yield received
        finally:
            node.kill()
            reading.join()


@contextmanager
def in_browser(name: str, address: str, page: Page, script: Path) -> Iterator[ReceivedEvents]:
    """Run an npm package in a page with the built ``script``."""
    received: ReceivedEvents = []
    go_to_empty_page(page, address.partition("/api/")[0])
    page.expose_function("report", lambda event, _id, data: received.append((event, data)))
    page.add_script_tag(path=script)
    page.evaluate("([name, address]) => void follow[name](address, report)", [name, address])
    yield received


@contextmanager
def in_python(follow: Callable[[str, str], Iterable[Received]], address: str) -> Iterator[ReceivedEvents]:
    """Run a PyPI package. None reconnects by itself: their users write this loop."""
    received: ReceivedEvents = []
    stopping = Event()

    def run() -> None:
        cursor = ""
        while not stopping.is_set():
            with suppress(httpx.TransportError, SSEError):
                for event, own_id, data in follow(address, cursor):
                    cursor = own_id or cursor
                    received.append((event, data))
                    if stopping.is_set():
                        return
            stopping.wait(RETRY)

    thread = Thread(target=run, daemon=True)
    thread.start()
    try:
        yield received
    finally:
        stopping.set()
        thread.join(SILENCE)


def with_httpx_sse(address: str, cursor: str) -> Iterator[Received]:
    """One connection with httpx-sse."""
    with (
        httpx.Client(timeout=SILENCE, trust_env=False) as client,
        connect_sse(client, "GET", address, headers=_headers(cursor)) as source,
    ):
        for event in source.iter_sse():
            yield event.event, event.id, event.data


def with_sseclient(address: str, cursor: str) -> Iterator[Received]:
    """One connection with sseclient-py."""
    headers = {"Accept": "text/event-stream", **_headers(cursor)}
    with (
        httpx.Client(timeout=SILENCE, trust_env=False) as client,
        client.stream("GET", address, headers=headers) as response,
    ):
        for event in sseclient.SSEClient(response.iter_bytes()).events():
            yield event.event, event.id or "", event.data


def build_page_script(directory: Path) -> Path:
    """Build the browser clients as one script."""
    script = directory / "clients.js"
    command = ["node_modules/.bin/esbuild", "tests/clients/page.js", "--bundle", f"--outfile={script}"]
    subprocess.run(command, cwd=FRONTEND, check=True, capture_output=True)
    return script


def _headers(cursor: str) -> dict[str, str]:
    return {"Last-Event-ID": cursor} if cursor else {}


def _event(line: str) -> tuple[str, str]:
    answer: dict[str, Any] = json.loads(line)
    return answer["event"], answer["data"]
