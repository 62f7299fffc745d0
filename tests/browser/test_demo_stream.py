"""The demo page when its stream, its token or the service fails, and when nothing happens at all."""

import re
from uuid import uuid4

from playwright.sync_api import BrowserContext, Request, Route, expect

from tests.browser.demo_page import LIVE, DemoPage, create, look
from tests.stack import Stack


def test_what_was_missed_comes_after_a_reconnect(page: DemoPage) -> None:
    aiko, ben = page.users
    page.send("Both", title="Before")
    expect(page.bell(ben)).to_have_text("1")
    page.button(ben, "Disconnect").click()
    expect(page.state(ben)).to_have_text("Stopped")
    page.send("Both", title="Meanwhile")
    expect(page.item(aiko, "Meanwhile")).to_be_visible()
    expect(page.page.locator(".outcome")).to_contain_text(f"kept for {ben}")
    expect(page.item(ben, "Meanwhile")).to_have_count(0)
    page.button(ben, "Connect").click()
    expect(page.item(ben, "Meanwhile")).to_have_count(1)
    expect(page.item(ben, "Before")).to_have_count(1)
    expect(page.bell(ben)).to_have_text("2")


def test_what_is_done_shows_at_once_and_stays_right_when_its_event_comes_later(page: DemoPage) -> None:
    aiko, _ = page.users
    for title in ("One", "Two", "Three"):
        page.send(aiko, title=title)
        expect(page.item(aiko, title)).to_be_visible()
    page.button(aiko, "Disconnect").click()
    page.button(aiko, "Mark read: One").click()
    expect(page.bell(aiko)).to_have_text("2")
    page.button(aiko, "Delete: Two").click()
    expect(page.bell(aiko)).to_have_text("1")
    page.button(aiko, "Connect").click()
    expect(page.events(aiko, "deleted")).to_have_count(1)
    expect(page.bell(aiko)).to_have_text("1")
    expect(page.panel(aiko).locator(".item h3")).to_have_text(["Three", "One"])


def test_a_hidden_page_lets_its_streams_go_and_catches_up(page: DemoPage, demo: Stack) -> None:
    aiko, ben = page.users
    page.button(ben, "Disconnect").click()
    look(page.page, hidden=True)
    expect(page.state(aiko)).to_have_text("Stopped")
    create(demo, aiko, "Meanwhile")
    look(page.page, hidden=False)
    expect(page.item(aiko, "Meanwhile")).to_have_count(1)
    expect(page.bell(aiko)).to_have_text("1")
    expect(page.state(ben)).to_have_text("Stopped")  # by hand, and so it stays


def test_the_indicator_tells_when_the_proxy_is_away(page: DemoPage, demo: Stack) -> None:
    aiko, ben = page.users
    demo.kill_pushpin()
    try:
        for user in page.users:
            expect(page.state(user)).to_have_text("Reconnecting…")
        create(demo, ben, "Meanwhile")
    finally:
        demo.start_pushpin()
        demo.wait_ready()
    page.wait_until_live()
    expect(page.item(ben, "Meanwhile")).to_have_count(1)
    expect(page.bell(ben)).to_have_text("1")
    expect(page.bell(aiko)).to_have_text("")


def test_killing_the_workers_keeps_the_stream(page: DemoPage, demo: Stack) -> None:
    aiko, ben = page.users
    demo.kill_workers()
    page.send("Both", title="Still here")
    for user in (aiko, ben):
        expect(page.item(user, "Still here")).to_be_visible()
        expect(page.state(user)).to_have_text(LIVE)
        expect(page.events(user, "connected")).to_have_count(1)


def test_a_stream_that_is_closed_for_good_stays_closed(context: BrowserContext) -> None:
    tab, user = context.new_page(), f"Chika-{uuid4().hex[:8]}"
    asked: list[str] = []
    closing = 'event: closing\ndata: {"reason": "evicted", "reconnect": false}\n\n'

    def close(route: Route, request: Request) -> None:
        asked.append(request.url)
        route.fulfill(content_type="text/event-stream", body="retry: 1\n" + closing)

    tab.route("**/api/sse/notifications?*", close)
    page = DemoPage(tab, user, user).open()
    for panel in page.panel(user).all():
        expect(panel.locator(".state")).to_have_text("Stopped")
        expect(panel.locator(".state-reason")).to_have_text("evicted")
        expect(panel.get_by_role("button", name="Connect", exact=True)).to_be_visible()
    look(tab, hidden=True)
    look(tab, hidden=False)
    tab.get_by_label("Type").fill("the page is still alive")
    assert len(asked) == len(page.users)


def test_a_reset_fetches_the_list_again(page: DemoPage) -> None:
    aiko, _ = page.users
    page.send(aiko, title="Kept")
    expect(page.bell(aiko)).to_have_text("1")
    page.button(aiko, "Disconnect").click()

    def elsewhere(route: Route, request: Request) -> None:
        route.continue_(url=re.sub("last_event_id=[^&]*", "last_event_id=of-another-place", request.url))

    page.page.route("**/api/sse/notifications?*", elsewhere)
    with page.page.expect_response("**/api/notifications?*"):
        page.button(aiko, "Connect").click()
    expect(page.events(aiko, "reset")).to_have_count(1)
    expect(page.item(aiko, "Kept")).to_have_count(1)
    expect(page.bell(aiko)).to_have_text("1")


def test_a_token_that_no_longer_holds_is_renewed(context: BrowserContext) -> None:
    tab, user = context.new_page(), f"Chika-{uuid4().hex[:8]}"
    forged = {"token": "not.a.token", "expires_in": 3600, "heartbeat": 1}
    tab.route("**/demo/token", lambda route: route.fulfill(json=forged), times=1)
    DemoPage(tab, user, user).open().page.wait_for_load_state()
    for state in tab.locator(".state").all():
        expect(state).to_have_text(LIVE)


def test_a_refused_change_is_taken_back(page: DemoPage) -> None:
    aiko, _ = page.users
    page.send(aiko, title="Stays")
    page.page.route("**/api/notifications/*", lambda route: route.abort(), times=1)
    page.button(aiko, "Delete: Stays").click()
    expect(page.panel(aiko).get_by_role("alert")).to_contain_text("does not answer")
    expect(page.item(aiko, "Stays")).to_be_visible()
    expect(page.bell(aiko)).to_have_text("1")
    page.button(aiko, "Try again").click()
    expect(page.item(aiko, "Stays")).to_have_count(0)
    expect(page.bell(aiko)).to_have_text("")
    expect(page.panel(aiko).get_by_role("alert")).to_be_hidden()


def test_an_idle_page_asks_for_nothing(page: DemoPage) -> None:
    asked: list[str] = []
    page.page.on("request", lambda request: asked.append(request.url))
    for user in page.users:
        expect(page.events(user, "heartbeat").nth(4)).to_be_attached()
    assert asked == []
