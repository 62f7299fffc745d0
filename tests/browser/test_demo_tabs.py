"""The demo's ten tabs: frames, each with the client, that share the stream of their page."""

import re

from playwright.sync_api import FrameLocator, expect

from tests.browser.conftest import streams_of
from tests.browser.demo_page import DemoPage
from tests.support.loop_thread import wait_until
from tests.support.stack import Stack

TABS = range(1, 11)
SETTLED = 15.0


def test_ten_tabs_share_one_stream_and_hand_it_over(page: DemoPage, demo: Stack) -> None:
    aiko, _ = page.users
    page.page.get_by_role("button", name="Open ten tabs").click()
    for number in TABS:
        expect(tab(page, number).locator("#state")).to_have_text("shares")
    expect(page.page.get_by_text("1 stream at the server")).to_be_visible()
    assert streams_of(demo, aiko) == 1

    page.button(aiko, "Leave").click()  # the page had the stream
    wait_until(lambda: len(holders(page)) == 1, SETTLED, lambda: f"{holders(page)} hold it")
    page.send(aiko, title="To ten")
    for number in TABS:
        expect(tab(page, number).locator("#latest")).to_have_text("To ten")
        expect(tab(page, number).locator("#unread")).to_have_text("1")

    holder = holders(page)[0]
    page.page.get_by_role("button", name=f"Close tab {holder}", exact=True).click()
    page.send(aiko, title="To nine")
    rest = [number for number in TABS if number != holder]
    for number in rest:
        expect(tab(page, number).locator("#latest")).to_have_text("To nine")
        expect(tab(page, number).locator("#unread")).to_have_text("2")
    expect(page.page.get_by_role("heading", name=re.compile("^9 tabs of "))).to_be_visible()
    wait_until(lambda: streams_of(demo, aiko) == 1, SETTLED, lambda: f"{streams_of(demo, aiko)} streams")


def tab(page: DemoPage, number: int) -> FrameLocator:
    return page.page.frame_locator(f"iframe[title='Tab {number}']")


def holders(page: DemoPage) -> list[int]:
    """Return the tabs that report that they hold the stream."""
    frames = {number: tab(page, number).locator("#state") for number in TABS}
    return [number for number, state in frames.items() if state.count() and state.inner_text() == "holds the stream"]
