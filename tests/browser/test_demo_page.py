"""The demo page in a real browser."""

import re

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect

from shirase.flask.app import create_app
from shirase.settings import Settings
from tests.browser.demo_page import DemoPage, create, tab_to
from tests.support.stack import Stack

PHONE_WIDTH = 360


def test_a_new_user_finds_an_empty_list_and_no_badge(page: DemoPage) -> None:
    for user in page.users:
        expect(page.panel(user).get_by_text("All quiet")).to_be_visible()
        expect(page.bell(user)).to_have_attribute("aria-label", f"Inbox of {user}, 0 unread")
        expect(page.bell(user)).to_have_text("")


def test_a_notification_appears_in_its_users_panel_alone(page: DemoPage) -> None:
    aiko, ben = page.users
    page.send(aiko, title="First")
    expect(page.item(aiko, "First")).to_be_visible()
    expect(page.bell(aiko)).to_have_text("1")
    expect(page.announcement(aiko)).to_have_text("New: First. 1 unread.")
    page.send(aiko, title="Second")
    expect(page.bell(aiko)).to_have_text("2")
    expect(page.panel(aiko).locator("h3")).to_contain_text(["Second", "First"])
    expect(page.page.locator(".outcome")).to_have_text(re.compile(rf"Sent: {aiko} saw it after \d+ ms\."))
    expect(page.panel(ben).locator(".shirase-item")).to_have_count(0)
    expect(page.bell(ben)).to_have_text("")


def test_one_notification_goes_to_both(page: DemoPage) -> None:
    page.send("Both", title="For you two", payload='{"room": "Sakura"}')
    for user in page.users:
        expect(page.item(user, "For you two")).to_have_count(1)
        expect(page.bell(user)).to_have_text("1")


def test_an_announcement_reaches_both(page: DemoPage) -> None:
    page.send("Everyone", title="Maintenance tonight")
    for user in page.users:
        expect(page.item(user, "Maintenance tonight")).to_have_count(1)
        expect(page.bell(user)).to_have_text("1")
    both = ", ".join(rf"{user} saw it after \d+ ms" for user in page.users)
    expect(page.page.locator(".outcome")).to_have_text(re.compile(f"Sent: {both}"))
    page.button(page.users[0], "Mark read: Maintenance tonight").click()
    expect(page.bell(page.users[0])).to_have_text("")
    expect(page.bell(page.users[1])).to_have_text("1")


def test_read_and_deleted_are_followed_by_the_users_other_tab(page: DemoPage, context: BrowserContext) -> None:
    aiko, _ = page.users
    other = DemoPage(context.new_page(), *page.users).open().wait_until_live()
    for title in ("One", "Two", "Three"):
        page.send(aiko, title=title)
        expect(other.item(aiko, title)).to_be_visible()
    page.button(aiko, "Mark read: One").click()
    expect(other.bell(aiko)).to_have_text("2")
    expect(other.button(aiko, "Mark read: One")).to_be_hidden()
    other.button(aiko, "Delete: Two").click()
    expect(page.item(aiko, "Two")).to_have_count(0)
    expect(page.bell(aiko)).to_have_text("1")
    page.button(aiko, "Mark all read").click()
    for tab in (page, other):
        expect(tab.bell(aiko)).to_have_text("")
        expect(tab.panel(aiko).locator(".shirase-item[data-read=false]")).to_have_count(0)
        expect(tab.panel(aiko).locator(".shirase-item")).to_have_count(2)


def test_html_is_shown_as_text(page: DemoPage) -> None:
    aiko, _ = page.users
    markup = "<img src=x onerror=\"document.title='run'\"><b>bold</b>"
    page.send(aiko, title=markup, message=markup, payload='{"<i>": "</pre><script>1</script>"}')
    item = page.item(aiko, markup)
    expect(item.locator("h3")).to_have_text(f"Unread: {markup}")
    expect(item.locator(".shirase-message")).to_have_text(markup)
    expect(item.locator("img, b, i, script")).to_have_count(0)
    expect(page.page).to_have_title("Shirase demo")


def test_the_forms_errors_stand_beside_their_fields(page: DemoPage) -> None:
    aiko, _ = page.users
    form = page.page
    page.send(aiko, type="no spaces", title="", payload="[1]")
    for field in ("type", "title", "payload"):
        expect(form.locator(f"[data-field={field}] .error")).not_to_be_empty()
        expect(form.locator(f"[name={field}]")).to_have_attribute("aria-invalid", "true")
    expect(form.locator("[data-field=message] .error")).to_have_count(0)
    expect(form.get_by_label("Title")).to_be_focused()
    page.send("Both", type="ok", title="", payload="{")
    expect(form.locator("[data-field=payload] .error")).to_have_text("is not valid JSON")
    page.send("Both", payload="")
    expect(form.locator("[data-field=title] .error")).not_to_be_empty()
    expect(form.locator("[data-field=payload] .error")).to_have_count(0)
    page.send(aiko, title="Good at last")
    expect(page.item(aiko, "Good at last")).to_be_visible()
    expect(page.panel(aiko).locator(".shirase-item")).to_have_count(1)
    expect(form.locator("[aria-invalid=true]")).to_have_count(0)


def test_the_keyboard_alone_creates_reads_and_deletes(page: DemoPage) -> None:
    aiko, _ = page.users
    keyboard = page.page.keyboard
    tab_to(page.page, page.page.get_by_label("Title"))
    keyboard.press("Control+A")
    keyboard.type("By hand")
    keyboard.press("Enter")
    expect(page.bell(aiko)).to_have_text("1")
    tab_to(page.page, page.button(aiko, "Mark read: By hand"))
    keyboard.press("Enter")
    expect(page.bell(aiko)).to_have_text("")
    expect(page.button(aiko, "Mark unread: By hand")).to_be_focused()
    tab_to(page.page, page.button(aiko, "Delete: By hand"))
    keyboard.press("Space")
    expect(page.panel(aiko).get_by_text("All quiet")).to_be_visible()
    expect(page.panel(aiko).get_by_role("heading", name=f"Inbox of {aiko}")).to_be_focused()


def test_the_living_kinds_are_shown(page: DemoPage) -> None:
    aiko, _ = page.users
    living = page.page.get_by_role("region", name="Living notifications")
    living.get_by_role("button", name="Progress").click()
    expect(page.item(aiko, "Export is ready")).to_be_visible()
    expect(page.panel(aiko).locator(".shirase-item")).to_have_count(1)
    living.get_by_role("button", name="Thread").click()
    expect(page.panel(aiko).get_by_text("Chika and 3 others")).to_be_visible()
    expect(page.bell(aiko)).to_have_text("2")
    living.get_by_role("button", name="Taken back").click()
    expect(living.get_by_role("status")).to_contain_text("taken back")
    expect(page.item(aiko, "Sent by mistake")).to_have_count(0)
    expect(page.bell(aiko)).to_have_text("2")
    living.get_by_role("button", name="In two minutes").click()
    expect(living.get_by_role("status")).to_contain_text("will arrive at")


def test_a_phone_scrolls_down_and_never_sideways(page: DemoPage) -> None:
    for user in page.users:
        page.send(user, title="W" * 200, message="i" * 4000, payload=f'{{"{"k" * 300}": 1}}')
        expect(page.panel(user).locator(".shirase-item")).to_have_count(1)
        page.panel(user).locator(".payload summary").click()
    page.page.set_viewport_size({"width": PHONE_WIDTH, "height": 640})
    assert page.page.evaluate("document.documentElement.scrollWidth") == PHONE_WIDTH
    for inside in page.page.locator(".shirase-item, .scroll, .log ol").all():  # and nothing is cut off
        assert inside.evaluate("element => element.scrollWidth <= element.clientWidth")
    left, right = (page.panel(user).bounding_box() for user in page.users)
    assert left
    assert right
    assert left["y"] + left["height"] <= right["y"]


def test_older_notifications_come_by_the_page(page: DemoPage, demo: Stack) -> None:
    aiko, _ = page.users
    titles = [f"No {number}" for number in range(45)]
    create(demo, aiko, *titles)
    expect(page.bell(aiko)).to_have_text("45")
    page.page.reload()
    expect(page.panel(aiko).locator(".shirase-item")).to_have_count(30)
    page.button(aiko, "Show older").dispatch_event("click")  # a real click scrolls there, which loads them too
    expect(page.panel(aiko).locator(".shirase-item")).to_have_count(45)
    expect(page.button(aiko, "Show older")).to_be_hidden()
    assert page.panel(aiko).locator("h3").all_text_contents() == [f"Unread: {title}" for title in titles[::-1]]


def test_a_panel_takes_another_user(page: DemoPage) -> None:
    aiko, ben = page.users
    page.send(ben, title="For Ben")
    who = page.panel(aiko).get_by_label("User id")
    who.fill("")
    who.press("Enter")
    expect(page.panel(aiko).get_by_role("alert")).to_contain_text("at least 1 character")
    who.fill(ben)
    who.press("Enter")
    expect(page.item(ben, "For Ben")).to_have_count(2)  # one device on each side
    expect(page.page).to_have_url(re.compile(f"left={ben}"))


def test_the_raw_stream_opens_in_a_new_tab(page: DemoPage, context: BrowserContext) -> None:
    aiko, _ = page.users
    with context.expect_page() as opened:
        page.button(aiko, "Raw stream").click()
    expect(opened.value.get_by_text("event: connected")).to_be_visible()


def test_the_page_runs_nothing_from_elsewhere(demo: Stack) -> None:
    for path in ("/", "/demo/demo.js", "/demo/demo.css"):
        answer = httpx.get(demo.url + path).raise_for_status()
        assert ("default-src 'self'" if path == "/" else "default-src 'none'") in answer.headers[
            "Content-Security-Policy"
        ]
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        again = httpx.get(demo.url + path, headers={"If-None-Match": answer.headers["ETag"]})
        assert again.status_code == httpx.codes.NOT_MODIFIED


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("[]", 422),
        ("{}", 422),
        ('{"user_id": 7.5}', 422),
        ('{"user_id": true}', 422),
        ('{"user_id": ""}', 422),
        ('{"user_id": "\\n"}', 422),
    ],
)
def test_a_token_needs_a_user_id(demo: Stack, body: str, status: int) -> None:
    answer = httpx.post(f"{demo.url}/demo/token", content=body, headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")


def test_without_demo_there_is_no_page_and_no_token(demo: Stack) -> None:
    client = create_app(Settings.from_env({**demo.settings_env, "SHIRASE_DEMO": "off"})).test_client()
    assert client.get("/").status_code == httpx.codes.NOT_FOUND
    assert client.get("/demo/demo.js").status_code == httpx.codes.NOT_FOUND
    assert client.post("/demo/token", json={"user_id": "Aiko"}).status_code == httpx.codes.NOT_FOUND
    assert client.post("/demo/workers/restart").status_code == httpx.codes.NOT_FOUND
