"""A page object for the demo page, and actions of tests around it."""

import re

import httpx
from playwright.sync_api import Locator, Page, expect

from tests.support.stack import Stack

LIVE = "Live"
ANSWER = 30  # seconds; killed workers take a while to restart on a busy machine
TAB_STOPS = 60  # more than the page has with a short list


class DemoPage:
    """A tab with the page, for two users."""

    def __init__(self, page: Page, left: str, right: str) -> None:
        self.page = page
        self.users = (left, right)

    def open(self) -> "DemoPage":
        left, right = self.users
        self.page.goto(f"/?left={left}&right={right}")
        return self

    def panel(self, user: str) -> Locator:
        return self.page.get_by_label(f"Panel of {user}", exact=True)

    def state(self, user: str) -> Locator:
        return self.panel(user).locator(".shirase-status > [role=status]")

    def bell(self, user: str) -> Locator:
        return self.panel(user).locator(".shirase-bell-button")

    def announcement(self, user: str) -> Locator:
        return self.page.locator(".shirase-announcer").nth(self.users.index(user))

    def item(self, user: str, title: str) -> Locator:
        return self.panel(user).locator(".shirase-item").filter(has_text=title)

    def button(self, user: str, name: str) -> Locator:
        return self.panel(user).get_by_role("button", name=name)

    def events(self, user: str, name: str) -> Locator:
        return self.panel(user).locator(".log .name").filter(has_text=re.compile(f"^{name}$"))

    def wait_until_live(self) -> "DemoPage":
        for user in self.users:
            expect(self.state(user)).to_have_text(LIVE)
        return self

    def send(self, to: str, **fields: str) -> None:
        self.page.get_by_label(to, exact=True).check()
        for name, text in fields.items():
            self.page.get_by_label(name.title()).fill(text)
        self.page.get_by_role("button", name="Send").click()


def create(stack: Stack, user: str, *titles: str) -> None:
    """Create notifications as a producer does, directly at the origin."""
    batch = [{"user_id": user, "type": "test", "title": title, "message": ""} for title in titles]
    headers = {"Authorization": f"Bearer {stack.token('producer', 'notifications:write')}"}
    url = f"{stack.origin_url}/api/notifications/batch"
    httpx.post(url, json={"notifications": batch}, headers=headers, timeout=ANSWER).raise_for_status()


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus."""
    for _ in range(TAB_STOPS):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {target}")
