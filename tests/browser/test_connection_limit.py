"""More tabs than a user may hold streams, each with the browser's own EventSource."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, Page

from shirase.access.tokens import ADMIN
from shirase.store.migrate import migrate
from tests.browser.conftest import PATIENCE
from tests.browser.demo_page import create
from tests.support.loop_thread import wait_until
from tests.support.service import REQUEST_TIMEOUT
from tests.support.stack import Stack

LIMIT, TABS = 3, 6  # Chromium has six connections per host
HEARTBEATS = 4  # one per second: as long as a browser's own delay before it reconnects
LISTEN = """address => {
    window.seen = { opened: 0, heartbeat: 0, notification: 0, closing: [] };
    window.source = new EventSource(address);
    source.onopen = () => { seen.opened += 1; };
    source.addEventListener("closing", event => { seen.closing.push(JSON.parse(event.data)); });
    for (const name of ["heartbeat", "notification"])
        source.addEventListener(name, () => { seen[name] += 1; });
}"""
EVICTED = {"reason": "connection-limit", "reconnect": False}


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Stack]:
    url = f"sqlite:///{tmp_path / 'shirase.db'}"
    migrate(url)
    env = {"SSE_MAX_CONNECTIONS_PER_USER": str(LIMIT), "SSE_KEEPALIVE_TIMEOUT": "1"}
    with Stack(url, tmp_path, env=env) as stack:
        yield stack


def test_tabs_beyond_the_limit_do_not_evict_each_other_for_ever(browser: Browser, limited: Stack) -> None:
    user = f"Chika-{uuid4().hex[:8]}"
    context = browser.new_context(base_url=limited.url, bypass_csp=True)  # the page is a plain answer
    context.set_default_timeout(PATIENCE)
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url) if "/api/sse/" in request.url else None)
    tabs = [context.new_page() for _ in range(TABS)]
    for tab in tabs:
        tab.goto("/healthz")
        listen(tab, limited, user)

    evicted, holding = tabs[:-LIMIT], tabs[-LIMIT:]
    for tab in evicted:
        tab.wait_for_function("seen.closing.length === 1")
        assert tab.evaluate("seen.closing[0]") == EVICTED
    beat(holding)
    create(limited, user, "for those who hold")
    for tab in holding:
        tab.wait_for_function("seen.notification === 1")
    assert [tab.evaluate("seen.opened") for tab in tabs] == [1] * TABS
    assert len(asked) == TABS

    # An evicted tab is reloaded by hand: it replaces one stream only.
    evicted[0].reload()
    listen(evicted[0], limited, user)
    holding[0].wait_for_function("seen.closing.length === 1")
    beat([evicted[0], *holding[1:]])
    assert [tab.evaluate("seen.closing.length") for tab in (evicted[0], *holding[1:])] == [0] * LIMIT
    assert len(asked) == TABS + 1
    wait_until(lambda: total(limited) == LIMIT, REQUEST_TIMEOUT, lambda: f"{total(limited)} are counted")
    context.close()
    wait_until(lambda: total(limited) == 0, REQUEST_TIMEOUT, lambda: f"{total(limited)} are counted")


def listen(tab: Page, stack: Stack, user: str) -> None:
    tab.evaluate(LISTEN, f"/api/sse/notifications?token={stack.token(user)}")
    tab.wait_for_function("seen.opened === 1")


def beat(tabs: list[Page]) -> None:
    """Wait for some heartbeats."""
    counts = [tab.evaluate("seen.heartbeat") for tab in tabs]
    for tab, count in zip(tabs, counts, strict=True):
        tab.wait_for_function(f"seen.heartbeat >= {count + HEARTBEATS}")


def total(stack: Stack) -> int:
    with httpx.Client(trust_env=False) as http:
        headers = {"Authorization": f"Bearer {stack.token('operator', ADMIN)}"}
        total_connections: int = http.get(f"{stack.origin_url}/api/sse/status", headers=headers).json()[
            "total_connections"
        ]
        return total_connections
