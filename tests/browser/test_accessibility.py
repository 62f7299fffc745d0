"""Accessibility of the demo page, on phones and desktops."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.common_clients import FRONTEND
from tests.browser.conftest import PATIENCE, new_user
from tests.browser.demo_page import DemoPage
from tests.support.stack import Stack

AXE = FRONTEND / "node_modules" / "axe-core" / "axe.min.js"
PHONE, DESK = {"width": 390, "height": 844}, {"width": 1360, "height": 900}
FIND = """async () => {
    const { violations } = await axe.run();
    return violations.filter(({ impact }) => impact === "serious" || impact === "critical")
        .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(", ")}`);
}"""
FIND_IN_PREFERENCES = """async () => {
    const { violations } = await axe.run(".shirase-preferences");
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(", ")}`);
}"""


@pytest.fixture(params=["light", "dark"])
def seen(request: pytest.FixtureRequest, browser: Browser, demo: Stack) -> Iterator[DemoPage]:
    """The page in a colour scheme, without its content policy, which would block the checker."""
    context = browser.new_context(
        base_url=demo.url, color_scheme=request.param, reduced_motion="reduce", bypass_csp=True, viewport=None
    )
    context.set_default_timeout(PATIENCE)
    page = DemoPage(context.new_page(), new_user("Aiko"), new_user("Ben")).open().wait_until_live()
    page.page.add_script_tag(path=AXE)
    yield page
    context.close()


def test_axe_finds_nothing_serious_and_nothing_sticks_out(seen: DemoPage, tmp_path: Path) -> None:
    aiko, ben = seen.users
    for title in ("First", "Second"):
        seen.send("Both", title=title, payload='{"url": "/api/docs"}')
        expect(seen.item(aiko, title)).to_be_visible()
        expect(seen.item(ben, title)).to_be_visible()
    seen.button(aiko, "Mark read: First").click()
    expect(seen.button(aiko, "Mark read: First")).to_have_count(0)
    seen.button(ben, "Preferences").click()
    expect(seen.panel(ben).get_by_role("checkbox", name="Builds: Email")).to_be_checked()
    assert seen.page.evaluate(FIND_IN_PREFERENCES) == []
    for name, size in (("phone", PHONE), ("desk", DESK)):
        seen.page.set_viewport_size(size)  # type: ignore[arg-type]
        check(seen.page)
        seen.page.screenshot(path=tmp_path / f"{name}.png", full_page=True)
        assert seen.page.evaluate("document.documentElement.scrollWidth") == size["width"]
        seen.bell(aiko).click()
        panel = seen.page.get_by_role("dialog", name=f"Inbox of {aiko}")
        expect(panel).to_be_focused()
        check(seen.page)
        box = panel.bounding_box()
        assert box
        assert box["x"] > 0
        assert box["x"] + box["width"] < size["width"]
        seen.page.keyboard.press("Escape")
        expect(seen.bell(aiko)).to_be_focused()
    seen.button(ben, "Cut the network").click()
    expect(seen.state(ben)).to_have_text("Reconnecting…")
    seen.send(aiko, title="")
    expect(seen.page.locator("[data-field=title] .error")).not_to_be_empty()
    check(seen.page)
    seen.page.get_by_role("button", name="Open ten tabs").click()
    expect(seen.page.frame_locator("iframe[title='Tab 10']").locator("#state")).to_have_text("shares")
    check(seen.page)


def check(page: Page) -> None:
    result: Any = page.evaluate(FIND)
    assert result == []
