"""The React example built against the packed package: in Strict Mode, on its own origin."""

import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from tests.browser.client_page import Streams
from tests.browser.common_clients import FRONTEND
from tests.browser.conftest import new_user, streams_of
from tests.browser.demo_page import create
from tests.support.stack import Stack

BUILD_TIMEOUT = 170.0
DEVELOPMENT_ONLY = "wrapped in act"  # text of React's development build only


@pytest.fixture(scope="module")
def example(site: Path, elsewhere: str, demo: Stack) -> str:
    """Build and type-check it against the packed package, with React's development build; return its address."""
    built = site / "example"
    subprocess.run(["node", "example.js", built, demo.url], cwd=FRONTEND, check=True, timeout=BUILD_TIMEOUT)
    assert any(DEVELOPMENT_ONLY in script.read_text() for script in built.glob("assets/*.js"))
    return f"{elsewhere}/example/"


def test_strict_mode_opens_one_stream_and_shows_what_arrives(
    context: BrowserContext, demo: Stack, user: str, example: str
) -> None:
    streams = Streams(context)
    page = context.new_page()
    messages: list[str] = []
    page.on("console", lambda message: messages.append(message.text) if message.type in ("error", "warning") else None)
    page.goto(f"{example}?user={user}")
    expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    create(demo, user, "Hello")
    bell = page.get_by_role("button", name="Notifications, 1 unread")
    expect(bell).to_be_visible()
    bell.click()
    page.get_by_role("button", name="Mark read: Hello").click()
    expect(page.get_by_role("button", name="Notifications, 0 unread")).to_be_visible()
    assert len(streams.opened) == 1
    assert streams_of(demo, user) == 1

    other = new_user("Dora")
    create(demo, other, "For Dora")
    page.goto(f"{example}?user={other}")
    expect(page.get_by_role("button", name="Notifications, 1 unread")).to_be_visible()
    assert messages == []
