"""The service speaks plain Server-Sent Events: existing clients receive, reconnect and resume."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser

from tests.browser.common_clients import (
    ReceivedEvents,
    build_page_script,
    in_browser,
    in_node,
    in_python,
    with_httpx_sse,
    with_sseclient,
)
from tests.browser.conftest import new_user
from tests.browser.demo_page import create
from tests.support.stack import Stack

IN_NODE = ("eventsource", "eventsource-client")
IN_BROWSER = ("reconnecting-eventsource", "@microsoft/fetch-event-source")
IN_PYTHON = {"httpx-sse": with_httpx_sse, "sseclient-py": with_sseclient}
CLIENTS = (*IN_NODE, *IN_BROWSER, *IN_PYTHON)
PATIENCE = 30_000  # milliseconds; some clients retry late


@dataclass
class Followed:
    """One client and the user whose stream it follows."""

    user: str
    received: ReceivedEvents

    @property
    def connections(self) -> int:
        return [event for event, _ in self.received].count("connected")

    @property
    def titles(self) -> list[str]:
        return [json.loads(data)["title"] for event, data in self.received if event == "notification"]


@pytest.fixture(scope="module")
def followed(demo: Stack, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Followed]]:
    """All clients at once, through a crash and the return of the proxy."""
    users = {name: new_user("Fumi") for name in CLIENTS}
    script = build_page_script(tmp_path_factory.mktemp("clients"))
    with ExitStack() as running:
        context = running.enter_context(browser.new_context())
        pause = context.new_page().wait_for_timeout  # events of the pages are processed meanwhile
        received: dict[str, ReceivedEvents] = {}
        for name, user in users.items():
            address = f"{demo.url}/api/sse/notifications?token={demo.token(user)}"
            if name in IN_NODE:
                following = in_node(name, address)
            elif name in IN_BROWSER:
                following = in_browser(name, address, context.new_page(), script)
            else:
                following = in_python(IN_PYTHON[name], address)
            received[name] = running.enter_context(following)
        clients = {name: Followed(users[name], received[name]) for name in CLIENTS}
        wait = _waiter(pause, clients)
        wait(lambda client: client.connections == 1)
        for client in clients.values():
            create(demo, client.user, "Received")
        wait(lambda client: client.titles == ["Received"])
        demo.kill_pushpin()
        try:
            for client in clients.values():
                create(demo, client.user, "Missed")
        finally:
            demo.start_pushpin()
            demo.wait_ready()
        wait(lambda client: "Missed" in client.titles)
        for client in clients.values():
            create(demo, client.user, "Received again")
        wait(lambda client: "Received again" in client.titles)
        yield clients


def _waiter(
    pause: Callable[[float], None], clients: dict[str, Followed]
) -> Callable[[Callable[[Followed], bool]], None]:
    """Return a function that waits until all satisfy a condition; a client that does not fails in its own test."""

    def wait(condition: Callable[[Followed], bool]) -> None:
        for _ in range(PATIENCE // 50):
            if all(condition(client) for client in clients.values()):
                return
            pause(50)

    return wait


@pytest.mark.parametrize("name", CLIENTS)
def test_a_common_client_receives_reconnects_and_resumes(followed: dict[str, Followed], name: str) -> None:
    client = followed[name]
    assert client.titles == ["Received", "Missed", "Received again"]
    assert client.connections >= 2
