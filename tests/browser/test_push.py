"""Push messages in Chromium: from the user's click to the address that a click on the message leads to.

No push service is within reach, so Chromium refuses the subscription itself, after the permission and the service
worker. The debugger delivers the message, as it is after the browser has decrypted it.
"""

import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page

from shirase import vapid
from shirase.fields import Content
from shirase.inbox.push import message
from shirase.types import Notification
from shirase.vapid import PushKey
from tests.browser.host import serve

FRONTEND = Path(__file__).parents[2] / "frontend"
BUILD = """
import { writeFileSync } from "node:fs";
import { bundle, serviceWorker } from "./bundle.js";
writeFileSync(`${process.argv[1]}/push.js`, await bundle("src/push/index.ts"));
writeFileSync(`${process.argv[1]}/service-worker.js`, await serviceWorker());
"""
START = """async (key) => {
    const push = await import("/push.js");
    window.asked = [];
    window.clicked = [];
    push.onPushClick((url) => window.clicked.push(url));
    const request = async (method, path) => {
        window.asked.push(`${method} ${path}`);
        return { public_key: key };
    };
    document.querySelector("button").onclick = async () => {
        try {
            window.outcome = await push.subscribeToPush({ request }, { worker: "/service-worker.js" });
        } catch (error) {
            window.outcome = error.name;
        }
    };
}"""
SHOWN = """async () => {
    const registration = await navigator.serviceWorker.ready;
    const shown = await registration.getNotifications();
    return shown.map(({ title, body, tag, data }) => ({ title, body, tag, url: data.url }));
}"""
CLICK = """async () => {
    const [notification] = await registration.getNotifications();
    dispatchEvent(new NotificationEvent("notificationclick", { notification }));
}"""


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    site = tmp_path_factory.mktemp("push")
    (site / "index.html").write_text("<!doctype html><title>Push</title><button>Push messages</button>")
    subprocess.run(["node", "--input-type=module", "-e", BUILD, str(site)], cwd=FRONTEND, check=True)
    with serve(site) as served:
        yield served


@pytest.fixture
def page(context: BrowserContext, origin: str) -> Page:
    context.grant_permissions(["notifications"], origin=origin)
    opened = context.new_page()
    opened.goto(f"{origin}/index.html")
    opened.evaluate(START, PushKey(vapid.generate(), "").public)
    return opened


def test_a_message_is_shown_and_its_click_reaches_the_tab(context: BrowserContext, page: Page, origin: str) -> None:
    registrations: list[str] = []
    debugger = context.new_cdp_session(page)
    debugger.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: registrations.extend(registration["registrationId"] for registration in event["registrations"]),
    )
    debugger.send("ServiceWorker.enable")
    page.click("button")
    page.wait_for_function("window.outcome")
    assert page.evaluate("asked[0]") == "GET /api/push/key"
    assert page.evaluate("outcome") == "AbortError"  # registration failed: there is no push service
    page.evaluate("navigator.serviceWorker.ready.then(() => true)")
    page.wait_for_timeout(0)  # events of the debugger arrive
    for title in ("Old", "New"):
        columns = {"type": "a.b", "title": title, "message": "Tomorrow", "url": "/interviews/7", "key": "interview-7"}
        body = message(Notification(18, "42", Content(columns), datetime.now(UTC))).decode()
        deliver = {"origin": origin, "registrationId": registrations[-1], "data": body}
        debugger.send("ServiceWorker.deliverPushMessage", deliver)
    page.wait_for_function(f"async () => (await ({SHOWN})()).some(({{ title }}) => title === 'New')")
    assert page.evaluate(SHOWN) == [{"title": "New", "body": "Tomorrow", "tag": "interview-7", "url": "/interviews/7"}]
    [worker] = context.service_workers
    worker.evaluate(CLICK)
    page.wait_for_function("clicked.length")
    assert page.evaluate("clicked") == [f"{origin}/interviews/7"]
    page.wait_for_function(f"async () => (await ({SHOWN})()).length === 0")
