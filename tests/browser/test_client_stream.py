"""The client's stream in a real browser, with a real service that fails."""

from uuid import uuid4

import pytest
from playwright.sync_api import BrowserContext

from tests.browser.client_page import Streams, open_client, start_client
from tests.browser.demo_page import create
from tests.support.stack import Stack


@pytest.fixture
def user() -> str:
    """A new user."""
    return f"Dai-{uuid4().hex[:8]}"


def test_events_missed_during_an_outage_arrive_once_in_order(context: BrowserContext, demo: Stack, user: str) -> None:
    client = open_client(context, demo, user).wait_for("open")
    create(demo, user, "Before")
    client.wait_for_title("Before")
    demo.kill_pushpin()
    try:
        client.wait_for("reconnecting")
        create(demo, user, "Meanwhile", "And more")
    finally:
        demo.start_pushpin()
        demo.wait_ready()
    client.wait_for("open").wait_for_title("And more")
    create(demo, user, "After")
    client.wait_for_title("After")
    assert client.titles == ["Before", "Meanwhile", "And more", "After"]
    client.wait_for_badge(4)


def test_killing_the_workers_in_mid_stream_is_not_noticed(context: BrowserContext, demo: Stack, user: str) -> None:
    streams = Streams(context)
    client = open_client(context, demo, user).wait_for("open")
    demo.kill_workers()
    create(demo, user, "Still here")
    client.wait_for_title("Still here")
    assert len(streams.opened) == 1


def test_back_online_it_reconnects_at_once(context: BrowserContext, demo: Stack, user: str) -> None:
    # A delay of minutes, which only the event can end early.
    client = open_client(context, demo, user, minDelay=10**8, maxDelay=10**8).wait_for("open")
    context.set_offline(True)
    client.wait_for("reconnecting")
    create(demo, user, "Meanwhile")
    context.set_offline(False)
    client.wait_for("open").wait_for_title("Meanwhile")
    client.wait_for_badge(1)


def test_after_a_sleep_of_hours_it_catches_up(context: BrowserContext, demo: Stack, user: str) -> None:
    streams = Streams(context)
    page = context.new_page()
    page.clock.install()
    client = start_client(page, demo, user)
    client.wait_for("open")
    create(demo, user, "Before")
    client.wait_for_title("Before")
    page.clock.fast_forward("03:00:00")
    page.clock.run_for(2_000)
    client.wait_for("open")
    create(demo, user, "After")
    client.wait_for_title("After")
    assert client.titles == ["Before", "After"]
    assert len(streams.opened) == 2
    assert len(streams.open) == 1


def test_a_refused_token_is_renewed_once_then_signs_out(context: BrowserContext, demo: Stack, user: str) -> None:
    open_client(context, demo, user, token=["not.a.token", demo.token(user)]).wait_for("open")
    refused = open_client(context, demo, user, token="not.a.token", shareTabs=False).wait_for("closed")
    assert refused.state == {"status": "closed", "reason": "unauthorized"}


def test_another_users_token_opens_nothing(context: BrowserContext, demo: Stack, user: str) -> None:
    client = open_client(context, demo, user, token=demo.token("another-user")).wait_for("closed")
    assert client.state == {"status": "closed", "reason": "wrong-user"}
    assert client.page.evaluate("received") == []


def test_where_streams_are_swallowed_events_come_by_long_poll(context: BrowserContext, demo: Stack, user: str) -> None:
    # A middlebox that buffers until the end of the response.
    context.route("**/api/sse/notifications?*", lambda _: None)
    client = open_client(context, demo, user, connectTimeout=300, minDelay=1, streamRetry=10**8).wait_for("polling")
    create(demo, user, "By poll")
    client.wait_for_title("By poll").wait_for_badge(1)
    context.unroute("**/api/sse/notifications?*")
    client.page.evaluate("stream.retryNow()")
    client.wait_for("open")
    create(demo, user, "By stream")
    client.wait_for_title("By stream").wait_for_badge(2)
    assert client.titles == ["By poll", "By stream"]


def test_an_open_stream_costs_no_other_request(context: BrowserContext, demo: Stack, user: str) -> None:
    client = open_client(context, demo, user).wait_for("open").wait_for_badge(0)
    streams = Streams(context)
    create(demo, user, "One", "Two")
    client.wait_for_badge(2)
    client.page.wait_for_function("received.filter(({ event }) => event === 'heartbeat').length > 4")
    assert (streams.opened, streams.polls) == ([], [])
