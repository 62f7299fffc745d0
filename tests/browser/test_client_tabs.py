"""Tabs of one browser that share one stream."""

from uuid import uuid4

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.client_page import Streams, open_client
from tests.browser.demo_page import create
from tests.support.stack import Stack

TABS = 10


@pytest.fixture
def user() -> str:
    """A new user."""
    return f"Emi-{uuid4().hex[:8]}"


def test_ten_tabs_have_one_stream_and_outlive_the_leader(context: BrowserContext, demo: Stack, user: str) -> None:
    streams = Streams(context)
    tabs = [open_client(context, demo, user).wait_for("open") for _ in range(TABS)]
    assert len(streams.opened) == 1
    create(demo, user, "To all")
    for tab in tabs:
        tab.wait_for_title("To all").wait_for_badge(1)
    leader = next(tab for tab in tabs if not tab.state["shared"])
    leader.page.close()
    create(demo, user, "To the nine")
    rest = [tab for tab in tabs if tab is not leader]
    for tab in rest:
        tab.wait_for_title("To the nine").wait_for_badge(2).wait_for("open")
    create(demo, user, "Once more")
    for tab in rest:
        assert tab.wait_for_title("Once more").titles == ["To all", "To the nine", "Once more"]
    assert len(streams.opened) == 2
    assert len(streams.open) == 1


def test_a_frozen_leader_is_replaced_and_catches_up(context: BrowserContext, demo: Stack, user: str) -> None:
    streams = Streams(context)
    leader, other = (open_client(context, demo, user, heartbeat=1000).wait_for("open") for _ in range(2))
    assert other.state["shared"]
    with leader.frozen():
        create(demo, user, "Before")
        other.page.wait_for_function("stream.getState().status === 'open' && !stream.getState().shared")
        create(demo, user, "Meanwhile")
        other.wait_for_title("Meanwhile")
    leader.wait_for_title("Meanwhile")
    leader.page.wait_for_function("stream.getState().status === 'open' && stream.getState().shared")
    assert leader.titles == other.titles == ["Before", "Meanwhile"]
    assert len(streams.open) == 1


def test_the_badge_follows_reads_in_other_tabs_and_browsers(context: BrowserContext, demo: Stack, user: str) -> None:
    browser = context.browser
    assert browser
    with browser.new_context(base_url=demo.url) as elsewhere:
        here, tab = (open_client(context, demo, user).wait_for("open") for _ in range(2))
        there = open_client(elsewhere, demo, user).wait_for("open")
        create(demo, user, "One", "Two")
        for client in (here, tab, there):
            client.wait_for_badge(2)
        elsewhere.set_offline(True)
        there.wait_for("reconnecting")
        tab.page.evaluate("inbox.markAsRead([inbox.getSnapshot().notifications[0].id])")
        here.wait_for_badge(1)
        elsewhere.set_offline(False)
        there.wait_for("open").wait_for_badge(1)
        there.page.evaluate("inbox.markAllAsRead()")
        for client in (here, tab, there):
            client.wait_for_badge(0)


def test_two_users_in_two_tabs_have_two_streams(context: BrowserContext, demo: Stack, user: str) -> None:
    streams = Streams(context)
    mine = open_client(context, demo, user).wait_for("open")
    theirs = open_client(context, demo, f"{user}-2").wait_for("open")
    create(demo, user, "Mine")
    create(demo, f"{user}-2", "Theirs")
    assert mine.wait_for_title("Mine").titles == ["Mine"]
    assert theirs.wait_for_title("Theirs").titles == ["Theirs"]
    assert len(streams.open) == 2
