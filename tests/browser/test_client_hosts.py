"""The client in pages of a host application: on another origin, with tickets or cookies, behind proxies."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.client_page import Streams, open_client
from tests.browser.conftest import streams_of
from tests.browser.demo_page import create
from tests.browser.nginx import buffering_nginx
from tests.support.browser_like import Browsers
from tests.support.loop_thread import wait_until
from tests.support.stack import Stack

SETTLED = 15.0
COOKIE = "session"


@pytest.mark.parametrize("how", ["token", "ticket", "cookie"])
def test_a_page_of_another_origin_has_stream_and_inbox(
    context: BrowserContext, demo: Stack, user: str, elsewhere: str, how: str
) -> None:
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    if how == "cookie":
        context.add_cookies([{"name": COOKIE, "value": demo.token(user), "url": demo.url}])
    client = open_client(context, demo, user, how=how, origin=elsewhere).wait_for("open")
    create(demo, user, "From elsewhere")
    client.wait_for_title("From elsewhere").wait_for_badge(1)
    client.page.evaluate("inbox.markAllAsRead()")  # a change: by cookie it needs a listed origin
    client.wait_for_badge(0)
    context.set_offline(True)
    client.wait_for("reconnecting")
    create(demo, user, "Meanwhile")
    context.set_offline(False)
    client.wait_for("open").wait_for_title("Meanwhile")  # a ticket opens one stream, so this is a second ticket
    assert client.titles == ["From elsewhere", "Meanwhile"]
    secrets = [url for url in asked if "token=" in url]
    assert bool(secrets) == (how == "token")


def test_a_page_of_an_origin_that_is_not_listed_gets_nothing(
    context: BrowserContext, demo: Stack, user: str, elsewhere: str
) -> None:
    stranger = elsewhere.replace("127.0.0.1", "localhost")
    client = open_client(context, demo, user, origin=stranger, connectTimeout=1000).wait_for("reconnecting")
    assert client.page.evaluate("received") == []


def test_a_cookie_that_is_gone_signs_the_user_out(
    context: BrowserContext, demo: Stack, user: str, elsewhere: str
) -> None:
    client = open_client(context, demo, user, how="cookie", origin=elsewhere).wait_for("closed")
    assert client.state == {"status": "closed", "reason": "unauthorized"}
    context.add_cookies([{"name": COOKIE, "value": demo.token(user), "url": demo.url}])
    client.page.evaluate("stream.retryNow()")
    client.wait_for("open")


def test_an_evicted_tab_stays_closed_until_a_retry_is_requested(
    context: BrowserContext, demo: Stack, user: str
) -> None:
    tab = open_client(context, demo, user).wait_for("open").wait_for_badge(0)
    with Browsers() as elsewhere:
        devices = [
            elsewhere.open(demo.url, demo.token(user)) for _ in range(demo.settings.sse_max_connections_per_user)
        ]
        tab.wait_for("closed")
        assert tab.state == {"status": "closed", "reason": "ended", "detail": "connection-limit"}
        create(demo, user, "For those who stayed")
        for device in devices:
            device.wait(lambda seen: seen.titles == ["For those who stayed"])
        assert tab.state["status"] == "closed"
    tab.page.evaluate("stream.retryNow()")
    tab.wait_for("open").wait_for_title("For those who stayed").wait_for_badge(1)


def test_six_tabs_leave_connections_for_requests(context: BrowserContext, demo: Stack, user: str) -> None:
    """A browser has six connections per host: six streams would leave none for requests."""
    tabs = [open_client(context, demo, user).wait_for("open") for _ in range(6)]
    wait_until(lambda: streams_of(demo, user) == 1, SETTLED, lambda: f"{streams_of(demo, user)} streams")
    for tab in tabs:
        tab.page.evaluate("inbox.refresh()")


def test_a_page_that_comes_back_with_the_back_button_goes_on(context: BrowserContext, demo: Stack, user: str) -> None:
    client = open_client(context, demo, user).wait_for("open").wait_for_badge(0)
    client.page.evaluate("addEventListener('pageshow', ({ persisted }) => { window.persisted = persisted; })")
    client.page.goto("/healthz")
    create(demo, user, "While it was left")
    client.page.go_back(wait_until="commit")
    client.page.wait_for_function("window.persisted === true")  # the page itself, not a reloaded one
    client.wait_for("open").wait_for_title("While it was left").wait_for_badge(1)


@pytest.fixture(scope="module")
def middlebox(demo: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An nginx in front of the service that buffers responses."""
    with buffering_nginx(tmp_path_factory.mktemp("nginx"), demo.url) as url:
        yield url


def test_behind_a_buffering_nginx_everything_comes_by_long_poll(
    context: BrowserContext, demo: Stack, user: str, elsewhere: str, middlebox: str
) -> None:
    streams = Streams(context)
    quick: dict[str, Any] = {"connectTimeout": 1000, "minDelay": 1, "pollAfter": 2, "pollTimeout": 2000}
    client = open_client(context, demo, user, origin=elsewhere, url=middlebox, streamRetry=10**8, **quick)
    client.wait_for("polling")
    tries = len(streams.opened)
    create(demo, user, "One")
    client.wait_for_title("One").wait_for_badge(1)
    create(demo, user, "Two", "Three")
    client.wait_for_title("Three").wait_for_badge(3)
    client.page.evaluate("inbox.markAllAsRead()")
    client.wait_for_badge(0)
    assert client.titles == ["One", "Two", "Three"]
    assert len(streams.opened) == tries  # no stream beside the polls
