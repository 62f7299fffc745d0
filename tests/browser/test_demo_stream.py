"""The demo page when its stream, token or service fails, and when it is idle."""

import os
import re

import httpx
import pytest
from playwright.sync_api import BrowserContext, Request, Route, expect

from tests.browser.demo_page import LIVE, DemoPage, create
from tests.support.stack import Stack

CUT, RESTORE = "Cut the network", "Restore the network"
IDLE = float(os.environ.get("SHIRASE_BROWSER_IDLE_SECONDS", "5"))


def test_what_was_missed_comes_after_the_network_is_back(page: DemoPage) -> None:
    aiko, ben = page.users
    page.send("Both", title="Before")
    expect(page.bell(ben)).to_have_text("1")
    page.button(ben, CUT).click()
    expect(page.state(ben)).to_have_text("Reconnecting…")
    page.send("Both", title="Meanwhile")
    expect(page.item(aiko, "Meanwhile")).to_be_visible()
    expect(page.page.locator(".outcome")).to_contain_text(f"kept for {ben}")
    expect(page.item(ben, "Meanwhile")).to_have_count(0)
    page.button(ben, RESTORE).click()
    expect(page.item(ben, "Meanwhile")).to_have_count(1)
    expect(page.item(ben, "Before")).to_have_count(1)
    expect(page.bell(ben)).to_have_text("2")


def test_a_user_who_leaves_finds_everything_on_return(page: DemoPage, demo: Stack) -> None:
    aiko, _ = page.users
    page.button(aiko, "Leave").click()
    expect(page.state(aiko)).to_have_text("Not connected")
    expect(page.panel(aiko).locator(".shirase-item")).to_have_count(0)
    create(demo, aiko, "Meanwhile")
    page.button(aiko, "Come back").click()
    expect(page.state(aiko)).to_have_text(LIVE)
    expect(page.item(aiko, "Meanwhile")).to_have_count(1)
    expect(page.bell(aiko)).to_have_text("1")


def test_the_indicator_shows_an_outage_of_the_proxy(page: DemoPage, demo: Stack) -> None:
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


def test_the_button_replaces_every_worker_and_keeps_the_streams(page: DemoPage, demo: Stack) -> None:
    aiko, ben = page.users
    before = demo.worker_pids()
    page.page.get_by_role("button", name="Restart the workers").click()
    expect(page.page.get_by_text(re.compile(r"Processes [\d, ]+ went, [\d, ]+ came\."))).to_be_visible()
    assert not before & demo.worker_pids()
    page.send("Both", title="After the deploy")
    for user in (aiko, ben):
        expect(page.item(user, "After the deploy")).to_be_visible()
        expect(page.events(user, "connected")).to_have_count(1)


@pytest.mark.parametrize("path", ["/demo/token", "/demo/workers/restart"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://localhost:1"}, 403),
        # DNS rebinding: a page of this name, after the name resolves to 127.0.0.1.
        ({"Host": "evil.example:7999", "Origin": "http://evil.example:7999"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "192.168.1.10:7999"}, 403),
        # A form on any page, which needs no preflight.
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ({"Content-Type": ""}, 415),
    ],
)
def test_the_demo_answers_no_page_but_its_own(demo: Stack, path: str, headers: dict[str, str], status: int) -> None:
    sent = {"Content-Type": "application/json"} | headers
    answer = httpx.post(f"{demo.url}{path}", headers=sent, content=b'{"user_id": "mei"}')
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")


@pytest.mark.parametrize("path", ["/", "/demo/demo.js", "/demo/workers"])
def test_the_demo_shows_nothing_under_a_foreign_name(demo: Stack, path: str) -> None:
    assert httpx.get(f"{demo.url}{path}", headers={"Host": "evil.example"}).status_code == httpx.codes.FORBIDDEN


@pytest.mark.parametrize("host", ["localhost:1", "LOCALHOST", "127.0.0.2:1", "[::1]:1", "shirase.localhost"])
def test_the_demo_answers_under_every_name_of_this_machine(demo: Stack, host: str) -> None:
    headers = {"Host": host, "Origin": f"http://{host.lower()}"}
    answer = httpx.post(f"{demo.url}/demo/token", headers=headers, json={"user_id": "mei"})
    assert answer.status_code == httpx.codes.OK


def test_a_stream_that_is_closed_for_good_stays_closed(context: BrowserContext, user: str) -> None:
    tab = context.new_page()
    asked: list[str] = []
    closing = 'event: closing\ndata: {"reason": "evicted", "reconnect": false}\n\n'

    def close(route: Route, request: Request) -> None:
        asked.append(request.url)
        route.fulfill(content_type="text/event-stream", body="retry: 1\n" + closing)

    tab.route("**/api/sse/notifications?*", close)
    page = DemoPage(tab, user, f"{user}-2").open()
    for each in page.users:
        expect(page.state(each)).to_have_text("Ended by the service")
        expect(page.button(each, "Try now")).to_be_visible()
    tab.get_by_label("Type").fill("the page is still alive")
    assert len(asked) == len(page.users)


def test_a_reset_fetches_the_list_again(page: DemoPage) -> None:
    aiko, _ = page.users
    page.send(aiko, title="Kept")
    expect(page.bell(aiko)).to_have_text("1")
    page.button(aiko, CUT).click()

    def elsewhere(route: Route, request: Request) -> None:
        route.continue_(url=re.sub("last_event_id=[^&]*", "last_event_id=of-another-place", request.url))

    page.page.route("**/api/sse/notifications?*", elsewhere)
    with page.page.expect_response("**/api/notifications?*"):
        page.button(aiko, RESTORE).click()
    expect(page.events(aiko, "reset")).to_have_count(1)
    expect(page.item(aiko, "Kept")).to_have_count(1)
    expect(page.bell(aiko)).to_have_text("1")


def test_a_token_that_no_longer_holds_is_renewed(context: BrowserContext, user: str) -> None:
    tab = context.new_page()
    forged = {"token": "not.a.token", "expires_in": 3600, "heartbeat": 1}
    tab.route("**/demo/token", lambda route: route.fulfill(json=forged), times=1)
    DemoPage(tab, user, f"{user}-2").open().wait_until_live()


def test_a_refused_change_is_taken_back(page: DemoPage) -> None:
    aiko, _ = page.users
    page.send(aiko, title="Stays")
    page.page.route("**/api/notifications/*", lambda route: route.abort(), times=1)
    page.button(aiko, "Delete: Stays").click()
    expect(page.panel(aiko).get_by_role("alert")).to_contain_text("could not be saved")
    expect(page.item(aiko, "Stays")).to_be_visible()
    expect(page.bell(aiko)).to_have_text("1")
    page.button(aiko, "Try again").click()
    expect(page.item(aiko, "Stays")).to_have_count(0)
    expect(page.bell(aiko)).to_have_text("")
    expect(page.panel(aiko).get_by_role("alert")).to_have_count(0)


def test_a_page_with_open_streams_asks_for_nothing(page: DemoPage) -> None:
    """No polling: ``SHIRASE_BROWSER_IDLE_SECONDS=300`` observes for five minutes."""
    asked: list[str] = []
    page.page.on("request", lambda request: asked.append(request.url))
    page.page.wait_for_timeout(IDLE * 1000)  # the observed interval
    assert asked == []
    for user in page.users:
        expect(page.events(user, "heartbeat").nth(2)).to_be_attached()
        expect(page.state(user)).to_have_text(LIVE)
