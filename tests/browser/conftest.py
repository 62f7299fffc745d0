"""A real Chromium before a real stack."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from api.database import migrate
from tests.browser.demo_page import DemoPage
from tests.stack import Stack

CHROMIUM = "/usr/bin/chromium"
QUIET = ("background-networking", "component-update", "gpu", "quic", "sync")
PATIENCE = 15_000  # milliseconds that a condition may take


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack with the demo page, whose heartbeat is quick enough to wait for."""
    directory = tmp_path_factory.mktemp("demo")
    database_url = f"sqlite:///{directory / 'shirase.db'}"
    migrate(database_url)
    with Stack(database_url, directory, env={"SHIRASE_DEMO": "on", "SSE_KEEPALIVE_TIMEOUT": "1"}) as stack:
        yield stack


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests; each test has its own context in it."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in QUIET)],
        )
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser, demo: Stack) -> Iterator[BrowserContext]:
    """Tabs of one person, with nothing left from another test. No page may have said an error by the end."""
    context = browser.new_context(base_url=demo.url, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context
    context.close()
    assert complaints == []


@pytest.fixture
def page(context: BrowserContext) -> DemoPage:
    """The page with two users who never were before, both live."""
    tag = uuid4().hex[:8]
    return DemoPage(context.new_page(), f"Aiko-{tag}", f"Ben-{tag}").open().wait_until_live()
