"""Push messages in Firefox, whole: from the permission over the relay and a push service to a click on the message."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.browser.conftest import streams_of
from tests.browser.engines.conftest import Host
from tests.browser.engines.remote import Marionette
from tests.browser.engines.start import missing, running
from tests.browser.engines.tabs import CONDITION, Engine, Tab
from tests.support.loop_thread import wait_until
from tests.support.push_service import PushService, push_service
from tests.support.stack import Stack

TYPE = "push.firefox"
BUTTON = """
    const button = Object.assign(document.createElement("button"), { id: "push", textContent: "Push messages" });
    button.onclick = async () => (window.outcome = await push.subscribeToPush(stream, { worker: "push-worker.js" }));
    document.body.append(button);
    window.clicked = [];
    push.onPushClick((url) => clicked.push(url));
"""
ALLOW = """
    const [request] = document.querySelectorAll("#notification-popup[panelopen] popupnotification");
    request?.button.click();
    return !!request;
"""
ALERTS = """
    return [...Services.wm.getEnumerator("alert:alert")].map(({ document }) =>
        ["alertTitleLabel", "alertTextLabel"].map((id) => {
            const label = document.getElementById(id);
            return label?.getAttribute("value") || label?.textContent;  // none while the window loads
        }));
"""
ADDRESSES = "return gBrowser.tabs.map((tab) => tab.linkedBrowser.currentURI.spec);"
SHOWN = """
    const registration = await navigator.serviceWorker.ready;
    return (await registration.getNotifications()).map(({ title }) => title);
"""
CLICK = 'Services.wm.getMostRecentWindow("alert:alert").document.getElementById("alertBox").click();'


@pytest.fixture(scope="module")
def service() -> Iterator[PushService]:
    with push_service() as running_service:
        yield running_service


@pytest.fixture(scope="module")
def browser_of(service: PushService, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    if absent := missing("firefox"):
        pytest.skip(f"push messages are not tested whole, because this machine lacks {absent}")
    settings = {
        "alerts.useSystemBackend": "false",  # Firefox shows the message itself
        "dom.push.connection.enabled": "true",
        "dom.push.serverURL": f'"{service.address}"',
        "dom.push.testing.allowInsecureServerURL": "true",
        "dom.webnotifications.disable_open_click_delay": "60000",  # milliseconds that a slow machine's worker may take
    }
    with running("firefox", tmp_path_factory.mktemp("push"), settings) as engine:
        yield engine


@pytest.fixture(autouse=True)
def policy(demo: Stack) -> None:
    entry = {"label": "Push", "description": "", "channels": [{"channel": "web_push", "unless": "connected"}]}
    headers = {"Authorization": f"Bearer {demo.token('operator', 'notifications:admin')}"}
    httpx.put(f"{demo.origin_url}/api/types/{TYPE}", json=entry, headers=headers).raise_for_status()


def create(demo: Stack, user: str, **content: Any) -> int:
    body = {"user_id": user, "type": TYPE, "message": "Tomorrow at ten", **content}
    headers = {"Authorization": f"Bearer {demo.token('producer', 'notifications:write')}"}
    created = httpx.post(f"{demo.origin_url}/api/notifications", json=body, headers=headers).raise_for_status()
    return int(created.json()["id"])


def in_firefox(host: Host, script: str) -> Any:
    assert isinstance(host.engine.remote, Marionette)
    return host.engine.remote.in_firefox(script)


def subscribe(host: Host, user: str) -> Tab:
    """Click the page's button, and allow what Firefox then asks."""
    tab = host.listen(user)
    tab.run(BUTTON)
    tab.click("document.getElementById('push')")
    wait_until(
        lambda: in_firefox(host, ALLOW) or tab.run("return window.outcome"), CONDITION, "Firefox asks for no permission"
    )
    tab.wait("window.outcome === 'subscribed'")
    return tab


def leave(demo: Stack, user: str, tab: Tab) -> None:
    tab.run("stream.close()")
    wait_until(lambda: streams_of(demo, user) == 0, CONDITION, "the stream is counted after its end")


def reason(demo: Stack, number: int) -> str:
    """Why a notification's only delivery was skipped."""
    headers = {"Authorization": f"Bearer {demo.token('operator', 'notifications:admin')}"}

    def only() -> dict[str, Any]:
        answer = httpx.get(f"{demo.origin_url}/api/notifications/{number}/trace", headers=headers).raise_for_status()
        [delivery] = answer.json()["deliveries"]
        return dict(delivery)

    wait_until(lambda: only()["state"] == "skipped", CONDITION, lambda: str(only()))
    return str(only()["reason"])


def is_shown(host: Host, title: str, text: str) -> None:
    wait_until(
        lambda: in_firefox(host, ALERTS) == [[title, text]], CONDITION, lambda: f"shown: {in_firefox(host, ALERTS)}"
    )


def test_a_click_on_a_message_reaches_the_open_tab(host: Host, demo: Stack, user: str) -> None:
    tab = subscribe(host, user)
    leave(demo, user, tab)
    create(demo, user, title="Interview", url="/interviews/7")
    is_shown(host, "Interview", "Tomorrow at ten")
    in_firefox(host, CLICK)
    tab.wait("clicked.length")
    assert tab.run("return clicked.map((url) => new URL(url).pathname)") == ["/interviews/7"]


def test_without_a_tab_a_click_opens_its_address(host: Host, demo: Stack, user: str) -> None:
    tab = subscribe(host, user)
    leave(demo, user, tab)
    tab.close()
    create(demo, user, title="Interview", url=f"{host.address}other.html")
    is_shown(host, "Interview", "Tomorrow at ten")
    in_firefox(host, CLICK)
    wait_until(lambda: host.address + "other.html" in in_firefox(host, ADDRESSES), CONDITION, "no tab has its address")


def test_a_newer_message_of_a_key_takes_the_place(host: Host, demo: Stack, user: str) -> None:
    tab = subscribe(host, user)
    leave(demo, user, tab)
    for title in ("Interview", "Interview, moved"):
        create(demo, user, title=title, key="interview-7")
        is_shown(host, title, "Tomorrow at ten")
    assert tab.run(SHOWN) == ["Interview, moved"]


def test_who_is_connected_or_has_unsubscribed_gets_none(
    host: Host, demo: Stack, service: PushService, user: str
) -> None:
    tab = subscribe(host, user)
    before = len(service.messages.got)
    assert reason(demo, create(demo, user, title="Interview")) == "connected"
    tab.run("return push.unsubscribeFromPush(stream, { worker: 'push-worker.js' })")
    leave(demo, user, tab)
    assert reason(demo, create(demo, user, title="Interview")) == "no browser has subscribed"
    assert len(service.left) == 1
    assert len(service.messages.got) == before
