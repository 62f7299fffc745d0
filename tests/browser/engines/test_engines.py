"""What a browser decides, in each engine: streams, tabs, pages that come and go, the bell and its keys."""

from pathlib import Path

import pytest

from tests.browser.demo_page import create
from tests.browser.engines.conftest import Host
from tests.browser.engines.tabs import Tab
from tests.support.stack import Stack

BELL = "document.querySelector('.shirase-bell-button')"
PANEL = "document.querySelector('.shirase-panel')"
FOCUSED = "document.activeElement"
IS_INSIDE = f"""(() => {{
    const {{ left, top, right, bottom }} = {PANEL}.getBoundingClientRect();
    return left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight && right - left > 200;
}})()"""
KEPT = """
    const caches_ = await Promise.all((await caches.keys()).map((name) => caches.open(name)));
    return (await Promise.all(caches_.map((cache) => cache.keys()))).flat().map(({ url }) => url);
"""
WITHOUT_WORKER = """
    for (const each of await navigator.serviceWorker.getRegistrations()) await each.unregister();
    for (const name of await caches.keys()) await caches.delete(name);
"""
TAB_STOPS = 20


def has_titles(tab: Tab, *titles: str) -> Tab:
    tab.wait("titles().length >= arguments[0]", len(titles))
    assert tab.run("return titles()") == list(titles)
    return tab


def has_unread(tab: Tab, count: int) -> Tab:
    return tab.wait("inbox.getSnapshot().unreadCount === arguments[0]", count)


def wait_for_count(tab: Tab, count: int) -> Tab:
    return tab.wait(f"{BELL}.getAttribute('aria-label') === `Notifications, ${{arguments[0]}} unread`", count)


def test_a_stream_opens_and_delivers(host: Host, demo: Stack, user: str) -> None:
    tab = host.listen(user)
    create(demo, user, "First", "ünïcödé 知らせ")
    has_unread(has_titles(tab, "First", "ünïcödé 知らせ"), 2)


def test_events_missed_while_the_proxy_was_dead_are_replayed(host: Host, demo: Stack, user: str) -> None:
    tab = host.listen(user, minDelay=50, maxDelay=200, pollAfter=0)
    create(demo, user, "Before")
    has_titles(tab, "Before")
    demo.kill_pushpin()
    try:
        tab.wait("stream.getState().status === 'reconnecting'")
        create(demo, user, "Meanwhile", "And more")
    finally:
        demo.start_pushpin()
        demo.wait_ready()
    tab.wait("stream.getState().status === 'open'")
    create(demo, user, "After")
    has_unread(has_titles(tab, "Before", "Meanwhile", "And more", "After"), 4)


def test_tabs_share_one_stream_and_agree(host: Host, demo: Stack, user: str) -> None:
    tabs = [host.listen(user) for _ in range(3)]
    assert [tab.run("return stream.getState().shared") for tab in tabs] == [False, True, True]
    create(demo, user, "To all")
    for tab in tabs:
        has_unread(has_titles(tab, "To all"), 1)
    tabs.pop(0).close()  # which had the stream
    create(demo, user, "To the others")
    for tab in tabs:
        has_unread(has_titles(tab, "To all", "To the others"), 2)
    tabs[0].wait("stream.getState().status === 'open'")


def test_what_is_read_in_one_tab_is_read_in_all(host: Host, demo: Stack, user: str) -> None:
    create(demo, user, "One", "Two", "Three")
    tabs = [host.listen(user).wait("inbox.getSnapshot().notifications.length === 3") for _ in range(2)]
    tabs[1].run("return inbox.markAsRead([inbox.getSnapshot().notifications[1].id])")
    for tab in tabs:
        has_unread(tab, 2)
        assert tab.run("return inbox.getSnapshot().notifications.map(one => one.is_read)") == [False, True, False]
    tabs[0].run("return inbox.markAllAsRead()")
    for tab in tabs:
        has_unread(tab, 0)


def test_a_page_behind_the_back_button_goes_on(host: Host, demo: Stack, user: str) -> None:
    tab = host.listen(user)
    for title in ("While it was left", "And once more"):
        tab.go(f"{host.address}other.html").wait("document.title === 'Another page'")
        create(demo, user, title)
        tab.back()
        tab.wait("document.title === 'Host' && window.listen")
        if not tab.run("return !!window.stream"):  # the browser has loaded the page again
            host.listen(user, tab)
        tab.wait("stream.getState().status === 'open'")
        tab.wait("inbox.getSnapshot().notifications[0]?.title === arguments[0]", title)
    has_unread(tab, 2)
    tab.forward()
    tab.wait("document.title === 'Another page'")


def test_offline_it_waits_and_online_it_catches_up(host: Host, demo: Stack, user: str) -> None:
    tab = host.listen(user, minDelay=10**8, maxDelay=10**8)  # only the event can end such a delay
    host.engine.set_offline(tab, True)
    tab.wait("stream.getState().error?.kind === 'offline'")
    create(demo, user, "Meanwhile")
    host.engine.set_offline(tab, False)
    tab.wait("stream.getState().status === 'open'")
    has_unread(has_titles(tab, "Meanwhile"), 1)


@pytest.mark.parametrize("count", [1, 120])
def test_a_bell_at_the_edge_opens_inside_the_window(host: Host, demo: Stack, user: str, count: int) -> None:
    create(demo, user, *(f"No {number}" for number in range(count)))
    tab = wait_for_count(host.show_bell(user), count)
    badge = "document.querySelector('.shirase-badge')"
    assert tab.run(f"return {badge}.textContent") == {1: "1", 120: "99+"}[count]
    assert tab.run(f"return {badge}.getBoundingClientRect().height") < 22  # one line
    tab.click(BELL)
    tab.wait(f"{PANEL}?.matches(':popover-open')").wait(IS_INSIDE)
    tab.click("document.getElementById('elsewhere')")
    tab.wait(f"!{PANEL}")


def test_the_keyboard_opens_reads_and_closes(host: Host, demo: Stack, user: str) -> None:
    create(demo, user, "By hand")
    tab = wait_for_count(host.show_bell(user), 1)
    tab.press("Tab")
    tab.wait(f"{FOCUSED} === {BELL}")
    tab.press("Enter")
    tab.wait(f"{PANEL}?.contains({FOCUSED})")
    tab.wait(f"!!{PANEL}.querySelector('[aria-label=\"Mark read: By hand\"]')")  # the list arrives after the panel
    name = f"{FOCUSED}.getAttribute('aria-label')"
    for _ in range(TAB_STOPS):
        if tab.run(f"return {name}") == "Mark read: By hand":
            break
        tab.press("Tab")
    else:
        raise AssertionError("no Tab reaches the button")
    tab.press("Enter")
    wait_for_count(tab, 0).wait(f"{name}.endsWith(': By hand')")  # the next action, since what had the focus is gone
    tab.press("Escape")
    tab.wait(f"!{PANEL} && {FOCUSED} === {BELL}")


def test_a_page_that_goes_elsewhere_closes_the_panel(host: Host, user: str) -> None:
    tab = wait_for_count(host.show_bell(user), 0)
    tab.click(BELL)
    tab.wait(f"!!{PANEL}")
    tab.run("history.pushState({}, '', '#/elsewhere'); document.title = 'Elsewhere'")  # as a router does
    tab.wait(f"!{PANEL}")


def test_who_is_signed_out_is_asked_to_sign_in(host: Host, demo: Stack, user: str) -> None:
    create(demo, user, "Behind the door")
    tab = host.show_bell(user, "not.a.token", demo.token(user))
    tab.click(BELL)
    tab.wait(f"{PANEL}.textContent.includes('Sign in to see')")
    tab.click("document.querySelector('.shirase-sign-in')")
    tab.wait(f"{PANEL}.textContent.includes('Behind the door')")


def test_a_cache_first_service_worker_keeps_nothing(host: Host, demo: Stack, user: str, built: Path) -> None:
    (built / "my-token").write_text(demo.token(user))
    tab = host.open()
    tab.run("await navigator.serviceWorker.register('worker.js')")
    try:
        tab.wait("navigator.serviceWorker.controller")
        for title in ("First", "Second"):
            tab.go(host.address).wait("window.listen && navigator.serviceWorker.controller")
            host.listen(user, tab, tokenAt="my-token")
            create(demo, user, title)
            tab.wait("titles().length === 1").wait(
                "inbox.getSnapshot().notifications[0]?.title === arguments[0]", title
            )
        has_unread(tab, 2)  # and no list out of a cache
        kept = tab.run(KEPT)
        assert [url for url in kept if url.endswith("page.js")]
        assert [url for url in kept if "/api/" in url or "token" in url] == []
    finally:
        tab.run(WITHOUT_WORKER)
