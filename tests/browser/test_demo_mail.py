"""The demo's mails and mutes: what is read in time or muted is not mailed, and what is not is."""

import re

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.browser.demo_page import DemoPage, tab_to
from tests.support.stack import Stack

IN_TIME = 20_000  # milliseconds for what is due after ten seconds


def mails(page: Page) -> Locator:
    return page.get_by_role("list", name="Mails").get_by_role("listitem")


def test_what_is_not_read_in_ten_seconds_is_mailed(page: DemoPage) -> None:
    aiko, ben = page.users
    page.send("Both", title="Lunch at noon", message="In the garden.")
    of_aiko, of_ben = (mails(page.page).filter(has_text=f"for {user}") for user in (aiko, ben))
    expect(of_ben).to_have_text(re.compile(r"Lunch at noon for .* mail in \d+ s"))
    page.button(aiko, "Mark read: Lunch at noon").click()
    expect(of_aiko).to_contain_text("read: no mail")
    expect(of_ben).to_contain_text("mail sent", timeout=IN_TIME)
    expect(of_aiko).to_contain_text("read: no mail")
    tab_to(page.page, of_ben.locator("summary"))
    page.page.keyboard.press("Enter")
    expect(of_ben).to_contain_text(f"To {ben.lower()}@demo.example")
    expect(of_ben.locator("pre")).to_contain_text("In the garden.")
    expect(page.page.get_by_text(f"Lunch at noon, for {ben}: mail sent.")).to_have_count(1)


def test_a_kind_is_muted_and_brought_back_by_the_keyboard(page: DemoPage) -> None:
    aiko, ben = page.users
    keyboard = page.page.keyboard
    page.send(aiko, title="First build", type="build.failed")
    tab_to(page.page, page.button(aiko, "Mute this kind: First build"))
    keyboard.press("Enter")
    box = page.panel(aiko).get_by_role("checkbox", name="Builds: Inbox")
    expect(box).not_to_be_checked()
    expect(mails(page.page).filter(has_text="First build")).to_contain_text("muted: no mail")
    page.send("Both", title="Second build")
    expect(page.page.locator(".outcome")).to_have_text(
        re.compile(rf"Sent: {aiko} has muted this kind, {ben} saw it after \d+ ms\.")
    )
    expect(page.item(ben, "Second build")).to_be_visible()
    expect(page.item(aiko, "Second build")).to_have_count(0)
    tab_to(page.page, box)
    keyboard.press("Space")
    expect(box).to_be_checked()
    page.send(aiko, title="Third build")
    expect(page.item(aiko, "Third build")).to_be_visible()
    tab_to(page.page, page.button(aiko, "Preferences"))
    keyboard.press("Enter")
    expect(box).to_have_count(0)


def test_open_preferences_leave_room_for_the_inbox(page: DemoPage) -> None:
    aiko, _ = page.users
    page.button(aiko, "Preferences").click()
    expect(page.panel(aiko).get_by_role("table")).to_be_visible()
    for width, height in ((1280, 720), (1280, 900), (1000, 700)):
        page.page.set_viewport_size({"width": width, "height": height})
        inbox = page.panel(aiko).locator(".scroll").bounding_box()
        log = page.panel(aiko).locator(".log").bounding_box()
        assert inbox
        assert log
        assert inbox["height"] > 200
        assert inbox["y"] + inbox["height"] <= log["y"] + 1


def test_the_bells_panel_mutes_too(page: DemoPage) -> None:
    aiko, _ = page.users
    page.send(aiko, title="Noise", type="comment.created")
    page.bell(aiko).click()
    panel = page.page.get_by_role("dialog", name=f"Inbox of {aiko}")
    panel.get_by_role("button", name="Mute this kind: Noise").click()
    expect(page.panel(aiko).get_by_role("checkbox", name="Comments: Inbox")).not_to_be_checked()


def test_mails_are_those_of_the_named_users_alone(page: DemoPage, demo: Stack) -> None:
    aiko, ben = page.users
    page.send(aiko, title="For Aiko alone")
    expect(mails(page.page)).to_have_count(1)
    shown = httpx.get(f"{demo.url}/demo/mails", params={"user": ben}).json()
    assert shown == {"mails": []}
    assert httpx.get(f"{demo.url}/demo/mails").json() == {"mails": []}
    assert httpx.get(f"{demo.url}/demo/mails", headers={"Host": "evil.example"}).status_code == httpx.codes.FORBIDDEN
