"""A real Chromium with a real stack."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from shirase import vapid
from shirase.run import demo_mail
from shirase.run.processes import Child
from shirase.settings import DEMO_KEY_PREFIX
from shirase.store.migrate import migrate
from tests.browser.client_page import BUILT, EMPTY_PAGE
from tests.browser.demo_page import DemoPage
from tests.browser.host import serve
from tests.support.stack import Stack, free_ports

CHROMIUM = "/usr/bin/chromium"
QUIET = ("background-networking", "component-update", "gpu", "quic", "sync")
PATIENCE = 15_000  # milliseconds to wait for a condition


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a host application: an empty page, and the client."""
    directory = tmp_path_factory.mktemp("site")
    (directory / "client-page").mkdir()
    (directory / "client-page" / "index.html").write_text(EMPTY_PAGE)
    (directory / "demo").symlink_to(BUILT.parent)
    return directory


@pytest.fixture(scope="session")
def elsewhere(site: Path) -> Iterator[str]:
    """The origin of the host application, which differs from the service's."""
    with serve(site) as origin:
        yield origin


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, elsewhere: str) -> Iterator[Stack]:
    """A stack with the demo page, a heartbeat every second, and another listed origin."""
    directory = tmp_path_factory.mktemp("demo")
    database_url = f"sqlite:///{directory / 'shirase.db'}"
    migrate(database_url)
    [port] = free_ports(1)
    env = {
        **demo_mail.environment({}, port, directory / "mail", "http://127.0.0.1"),
        "SHIRASE_DEMO": "on",
        "JWT_SECRET": DEMO_KEY_PREFIX + "j" * 32,
        "SSE_KEEPALIVE_TIMEOUT": "1",
        "AUTH_COOKIE": "session",
        "CORS_ORIGINS": elsewhere,
        "SSE_MAX_CONNECTIONS_PER_USER": "5",
        "VAPID_PRIVATE_KEY": vapid.generate(),
        "VAPID_CONTACT": "ops@example.com",
        "OUTBOUND_PRIVATE_HOSTS": "127.0.0.1",  # where the tests' push service is
    }
    server = Child("mail", demo_mail.command(port, directory / "mail"), os.environ, f"{directory}/mail")
    server.start()
    try:
        with Stack(database_url, directory, env=env) as stack:
            yield stack
    finally:
        server.kill()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests; each test has its own context in it."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--no-first-run", *(f"--disable-{what}" for what in QUIET)],
            ignore_default_args=["--disable-back-forward-cache"],  # as in real browsers
        )
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser, demo: Stack) -> Iterator[BrowserContext]:
    """A fresh browser profile. At the end, no page may have reported an error."""
    context = browser.new_context(base_url=demo.url, viewport={"width": 1280, "height": 800})
    context.set_default_timeout(PATIENCE)
    complaints: list[str] = []
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    yield context
    context.close()
    assert complaints == []


@pytest.fixture
def page(context: BrowserContext) -> DemoPage:
    """The demo page with two new users, both connected."""
    return DemoPage(context.new_page(), new_user("Aiko"), new_user("Ben")).open().wait_until_live()


@pytest.fixture
def user() -> str:
    """A new user."""
    return new_user("Chika")


def new_user(name: str) -> str:
    """Return an unused user id."""
    return f"{name}-{uuid4().hex[:8]}"


def streams_of(stack: Stack, user: str) -> int:
    """Return how many streams of a user the service counts."""
    headers = {"Authorization": f"Bearer {stack.token(user)}"}
    answer = httpx.get(f"{stack.url}/api/sse/status", headers=headers).raise_for_status()
    return int(answer.json()["user_connections"])
