"""The custom elements, on a page without any framework."""

import subprocess
from pathlib import Path

import pytest
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


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("elements") / "elements.js"
    file.write_bytes(subprocess.check_output(["node", "--input-type=module", "-e", BUILD], cwd=FRONTEND, timeout=60))
    return file


def test_elements_are_a_bell_and_a_list(context: BrowserContext, demo: Stack, user: str, built: Path) -> None:
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


def test_options_set_before_the_module_is_loaded_count(
    context: BrowserContext, demo: Stack, user: str, built: Path
) -> None:
    page = context.new_page()
    go_to_empty_page(page, demo.url)
    page.evaluate(
        """([user, token]) => {
            const bell = document.createElement("shirase-bell");
            bell.setAttribute("user", user);
            bell.options = { getToken: () => token, labels: { notifications: "News" } };
            document.body.append(bell);
        }""",
        [user, demo.token(user)],
    )
    page.add_script_tag(path=built, type="module")
    create(demo, user, "First")
    bell = page.locator("shirase-bell")
    expect(bell.get_by_role("button", name="News, 1 unread")).to_be_visible()
    bell.evaluate("bell => bell.options = { ...bell.options, labels: {} }")
    expect(bell.get_by_role("button", name="Notifications, 1 unread")).to_be_visible()


def test_an_element_brings_back_what_was_muted(context: BrowserContext, demo: Stack, user: str, built: Path) -> None:
    with Client(demo.url, demo.token(user)) as client:
        client.put_preferences({"rules": [{"scope": "test", "channel": "inbox", "enabled": False}]})
    page = context.new_page()
    page.route("**/my-token", lambda route: route.fulfill(json={"token": demo.token(user)}))
    go_to_empty_page(page, demo.url)
    page.evaluate("document.body.innerHTML = '<shirase-preferences token-url=\"/my-token\"></shirase-preferences>'")
    page.add_script_tag(path=built, type="module")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.locator("shirase-preferences").evaluate("(element, user) => element.setAttribute('user', user)", user)
    muted = page.get_by_role("checkbox", name="test: Inbox")
    expect(muted).not_to_be_checked()
    with page.expect_response(lambda answer: answer.request.method == "PUT"):
        muted.press("Space")
    expect(muted).to_be_checked()
    assert rules_of(demo, user) == [("test", "inbox", True)]
    page.locator("shirase-preferences").evaluate("element => element.remove()")
