"""The custom elements, on a page without any framework."""

import subprocess
from pathlib import Path

from playwright.sync_api import BrowserContext, expect

from shirase.client.client import Client
from tests.browser.client_page import go_to_empty_page
from tests.browser.common_clients import FRONTEND
from tests.browser.demo_page import create
from tests.support.stack import Stack

BUILD = 'import { elements } from "./bundle.js"; process.stdout.write(await elements());'
PAGE = """user => {
    window.received = [];
    for (const name of ["select", "toggle", "sign-in"]) {
        addEventListener(name, ({ type, detail }) => received.push([type, detail?.title ?? detail]));
    }
    document.head.innerHTML += "<style>button, h2, h3, ul { all: unset; color: red }</style>";
    document.body.innerHTML = `<shirase-bell token-url="/my-token"></shirase-bell>
        <shirase-list user="${user}" token-url="/my-token" mute></shirase-list>`;
}"""


def rules_of(stack: Stack, user: str) -> list[tuple[str, str, bool]]:
    with Client(stack.url, stack.token(user)) as client:
        return [(rule["scope"], rule["channel"], rule["enabled"]) for rule in client.preferences()["rules"]]


def test_elements_are_a_bell_and_a_list(context: BrowserContext, demo: Stack, user: str, tmp_path: Path) -> None:
    built = tmp_path / "elements.js"
    built.write_bytes(subprocess.check_output(["node", "--input-type=module", "-e", BUILD], cwd=FRONTEND, timeout=60))
    page = context.new_page()
    page.route("**/my-token", lambda route: route.fulfill(json={"token": demo.token(user)}))
    go_to_empty_page(page, demo.url)
    page.evaluate(PAGE, user)
    page.add_script_tag(path=built, type="module")
    listed = page.locator("shirase-list")
    expect(listed.get_by_text("All quiet")).to_be_visible()
    create(demo, user, "First", "Second")
    expect(listed.get_by_role("heading", name="Second")).to_be_visible()

    bell = page.locator("shirase-bell").get_by_role("button", name="Notifications")
    bell.click()
    dialog = page.get_by_role("dialog", name="Notifications")
    dialog.get_by_role("button", name="Sign in").click()
    page.locator("shirase-bell").evaluate("(bell, user) => bell.setAttribute('user', user)", user)
    expect(dialog.get_by_role("button", name="Second", exact=True)).to_be_visible()
    expect(dialog.get_by_role("button", name="Mute this kind")).to_have_count(0)
    dialog.get_by_role("button", name="Mark read: First").press("Enter")
    expect(page.locator("shirase-bell .shirase-badge")).to_have_text("1")
    expect(dialog.get_by_role("button", name="Mark unread: First")).to_be_focused()
    assert (
        page.locator("shirase-bell .shirase-title").first.evaluate("h3 => getComputedStyle(h3).color")
        != "rgb(255, 0, 0)"
    )
    dialog.get_by_role("button", name="Second", exact=True).click()
    expect(dialog).to_have_count(0)
    expect(bell).to_be_focused()
    assert page.evaluate("received") == [
        ["toggle", {"open": True}],
        ["sign-in", None],
        ["select", "Second"],
        ["toggle", {"open": False}],
    ]
    with page.expect_response(lambda answer: answer.request.method == "PUT"):
        listed.get_by_role("button", name="Mute this kind: First").click()
    assert rules_of(demo, user) == [("test", "inbox", False)]
    page.locator("shirase-list").evaluate("list => list.remove()")
    page.locator("shirase-bell").evaluate("bell => bell.remove()")
