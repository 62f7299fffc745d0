"""The demo page, as a person with a browser meets it."""

import re
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, Request, Route, expect

from api.app import create_app
from api.settings import Settings
from tests.stack import Stack

LIVE = "Live"
PHONE_WIDTH = 360
TAB_STOPS = 60  # more than the page has with a short list


class Demo:
    """The page in words of what is on it."""

    def __init__(self, page: Page, left: str, right: str) -> None:
        self.page = page
        self.users = (left, right)

    def open(self) -> "Demo":
        left, right = self.users
        self.page.goto(f"/?left={left}&right={right}")
        return self

    def panel(self, user: str) -> Locator:
        return self.page.get_by_label(f"Notifications of {user}", exact=True)

    def state(self, user: str) -> Locator:
        return self.panel(user).locator(".state")

    def bell(self, user: str) -> Locator:
        return self.panel(user).locator(".bell")

    def item(self, user: str, title: str) -> Locator:
        return self.panel(user).locator(".item").filter(has_text=title)

    def button(self, user: str, name: str) -> Locator:
        return self.panel(user).get_by_role("button", name=name)

    def events(self, user: str, name: str) -> Locator:
        return self.panel(user).locator(".log .name").filter(has_text=re.compile(f"^{name}$"))

    def wait_until_live(self) -> "Demo":
        for user in self.users:
            expect(self.state(user)).to_have_text(LIVE)
        return self

    def send(self, to: str, **fields: str) -> None:
        self.page.get_by_label(to, exact=True).check()
        for name, text in fields.items():
            self.page.get_by_label(name.title()).fill(text)
        self.page.get_by_role("button", name="Send").click()


@pytest.fixture
def page(context: BrowserContext) -> Demo:
    """The page with two users who never were before, both live."""
    tag = uuid4().hex[:8]
    return Demo(context.new_page(), f"Aiko-{tag}", f"Ben-{tag}").open().wait_until_live()


def test_a_new_user_finds_an_empty_list_and_no_badge(page: Demo) -> None:
    for user in page.users:
        expect(page.panel(user).get_by_text("All quiet")).to_be_visible()
        expect(page.bell(user)).to_have_attribute("aria-label", "0 unread")
        expect(page.bell(user)).to_have_text("")


def test_a_notification_appears_in_its_users_panel_alone(page: Demo) -> None:
    aiko, ben = page.users
    page.send(aiko, title="First")
    expect(page.item(aiko, "First")).to_be_visible()
    expect(page.bell(aiko)).to_have_text("1")
    expect(page.panel(aiko).locator(".announcement")).to_have_text(f"New for {aiko}: First. 1 unread.")
    page.send(aiko, title="Second")
    expect(page.bell(aiko)).to_have_text("2")
    expect(page.panel(aiko).locator(".item h3")).to_have_text(["Second", "First"])
    expect(page.page.locator(".outcome")).to_have_text(re.compile(rf"Sent: {aiko} saw it after \d+ ms\."))
    expect(page.panel(ben).locator(".item")).to_have_count(0)
    expect(page.bell(ben)).to_have_text("")


def test_one_notification_goes_to_both(page: Demo) -> None:
    page.send("Both", title="For you two", payload='{"room": "Sakura"}')
    for user in page.users:
        expect(page.item(user, "For you two")).to_have_count(1)
        expect(page.bell(user)).to_have_text("1")


def test_read_and_deleted_are_followed_by_the_users_other_tab(page: Demo, context: BrowserContext) -> None:
    aiko, _ = page.users
    other = Demo(context.new_page(), *page.users).open().wait_until_live()
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
        expect(tab.panel(aiko).locator(".item:not(.read)")).to_have_count(0)
        expect(tab.panel(aiko).locator(".item")).to_have_count(2)


def test_html_is_shown_as_text(page: Demo) -> None:
    aiko, _ = page.users
    markup = "<img src=x onerror=\"document.title='run'\"><b>bold</b>"
    page.send(aiko, title=markup, message=markup, payload='{"<i>": "</pre><script>1</script>"}')
    item = page.item(aiko, markup)
    expect(item.locator("h3")).to_have_text(markup)
    expect(item.locator(".message")).to_have_text(markup)
    expect(item.locator("img, b, i, script")).to_have_count(0)
    expect(page.page).to_have_title("Shirase demo")


def test_the_forms_errors_stand_beside_their_fields(page: Demo) -> None:
    aiko, _ = page.users
    form = page.page
    page.send(aiko, type="no spaces", title="", payload="[1]")
    for field in ("type", "title", "payload"):
        expect(form.locator(f"#error-{field}")).not_to_be_empty()
        expect(form.locator(f"[name={field}]")).to_have_attribute("aria-invalid", "true")
    expect(form.locator("#error-message")).to_be_empty()
    expect(form.get_by_label("Type")).to_be_focused()
    page.send("Both", type="ok", title="", payload="{")
    expect(form.locator("#error-payload")).to_have_text("is not valid JSON")
    page.send("Both", payload="")
    expect(form.locator("#error-title")).not_to_be_empty()
    expect(form.locator("#error-payload")).to_be_empty()
    page.send(aiko, title="Good at last")
    expect(page.item(aiko, "Good at last")).to_be_visible()
    expect(page.panel(aiko).locator(".item")).to_have_count(1)
    expect(form.locator("[aria-invalid]")).to_have_count(0)


def test_the_keyboard_alone_creates_reads_and_deletes(page: Demo) -> None:
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
    expect(page.button(aiko, "Delete: By hand")).to_be_focused()  # the button that had the focus is gone
    keyboard.press("Space")
    expect(page.panel(aiko).get_by_text("All quiet")).to_be_visible()
    expect(page.button(aiko, "Disconnect")).to_be_focused()


def test_a_phone_scrolls_down_and_never_sideways(page: Demo) -> None:
    for user in page.users:
        page.send(user, title="W" * 200, message="i" * 4000, payload=f'{{"{"k" * 300}": 1}}')
        expect(page.panel(user).locator(".item")).to_have_count(1)
        page.panel(user).locator(".payload summary").click()
        page.panel(user).locator(".log summary").click()
    page.page.set_viewport_size({"width": PHONE_WIDTH, "height": 640})
    assert page.page.evaluate("document.documentElement.scrollWidth") == PHONE_WIDTH
    for inside in page.page.locator(".item, .scroll, .log ol").all():  # nor is anything cut off
        assert inside.evaluate("element => element.scrollWidth <= element.clientWidth")
    left, right = (page.panel(user).bounding_box() for user in page.users)
    assert left and right and left["y"] + left["height"] <= right["y"]


def test_what_was_missed_comes_after_a_reconnect(page: Demo) -> None:
    aiko, ben = page.users
    page.send("Both", title="Before")
    expect(page.bell(ben)).to_have_text("1")
    page.button(ben, "Disconnect").click()
    expect(page.state(ben)).to_have_text("Stopped")
    page.send("Both", title="Meanwhile")
    expect(page.item(aiko, "Meanwhile")).to_be_visible()
    expect(page.page.locator(".outcome")).to_contain_text(f"kept for {ben}")
    expect(page.item(ben, "Meanwhile")).to_have_count(0)
    page.button(ben, "Connect").click()
    expect(page.item(ben, "Meanwhile")).to_have_count(1)
    expect(page.item(ben, "Before")).to_have_count(1)
    expect(page.bell(ben)).to_have_text("2")


def test_what_is_done_shows_at_once_and_stays_right_when_its_event_comes_later(page: Demo) -> None:
    aiko, _ = page.users
    for title in ("One", "Two", "Three"):
        page.send(aiko, title=title)
        expect(page.item(aiko, title)).to_be_visible()
    page.button(aiko, "Disconnect").click()
    page.button(aiko, "Mark read: One").click()
    expect(page.bell(aiko)).to_have_text("2")
    page.button(aiko, "Delete: Two").click()
    expect(page.bell(aiko)).to_have_text("1")
    page.button(aiko, "Connect").click()
    expect(page.events(aiko, "deleted")).to_have_count(1)
    expect(page.bell(aiko)).to_have_text("1")
    expect(page.panel(aiko).locator(".item h3")).to_have_text(["Three", "One"])


def test_a_hidden_page_lets_its_streams_go_and_catches_up(page: Demo, demo: Stack) -> None:
    aiko, ben = page.users
    page.button(ben, "Disconnect").click()
    look(page.page, hidden=True)
    expect(page.state(aiko)).to_have_text("Stopped")
    create(demo, aiko, "Meanwhile")
    look(page.page, hidden=False)
    expect(page.item(aiko, "Meanwhile")).to_have_count(1)
    expect(page.bell(aiko)).to_have_text("1")
    expect(page.state(ben)).to_have_text("Stopped")  # by hand, and so it stays


def test_the_indicator_tells_when_the_proxy_is_away(page: Demo, demo: Stack) -> None:
    aiko, ben = page.users
    demo.kill_pushpin()
    try:
        for user in page.users:
            expect(page.state(user)).to_have_text("Reconnecting…")
        create(demo, ben, "Meanwhile")
    finally:
        demo.start_pushpin()
        demo.wait_ready()
    page.wait_until_live()
    expect(page.item(ben, "Meanwhile")).to_have_count(1)
    expect(page.bell(ben)).to_have_text("1")
    expect(page.bell(aiko)).to_have_text("")


def test_a_stream_that_is_closed_for_good_stays_closed(context: BrowserContext) -> None:
    tab, user = context.new_page(), f"Chika-{uuid4().hex[:8]}"
    asked: list[str] = []
    closing = 'event: closing\ndata: {"reason": "evicted", "reconnect": false}\n\n'

    def close(route: Route, request: Request) -> None:
        asked.append(request.url)
        route.fulfill(content_type="text/event-stream", body="retry: 1\n" + closing)

    tab.route("**/api/sse/notifications?*", close)
    page = Demo(tab, user, user).open()
    for panel in page.panel(user).all():
        expect(panel.locator(".state")).to_have_text("Stopped")
        expect(panel.locator(".state-reason")).to_have_text("evicted")
        expect(panel.get_by_role("button", name="Connect", exact=True)).to_be_visible()
    look(tab, hidden=True)
    look(tab, hidden=False)
    tab.get_by_label("Type").fill("the page is still alive")
    assert len(asked) == len(page.users)


def test_a_reset_fetches_the_list_again(page: Demo) -> None:
    aiko, _ = page.users
    page.send(aiko, title="Kept")
    expect(page.bell(aiko)).to_have_text("1")
    page.button(aiko, "Disconnect").click()

    def elsewhere(route: Route, request: Request) -> None:
        route.continue_(url=re.sub("last_event_id=[^&]*", "last_event_id=of-another-place", request.url))

    page.page.route("**/api/sse/notifications?*", elsewhere)
    with page.page.expect_response("**/api/notifications?*"):
        page.button(aiko, "Connect").click()
    expect(page.events(aiko, "reset")).to_have_count(1)
    expect(page.item(aiko, "Kept")).to_have_count(1)
    expect(page.bell(aiko)).to_have_text("1")


def test_a_token_that_no_longer_holds_is_renewed(context: BrowserContext) -> None:
    tab, user = context.new_page(), f"Chika-{uuid4().hex[:8]}"
    forged = {"token": "not.a.token", "expires_in": 3600, "heartbeat": 1}
    tab.route("**/demo/token", lambda route: route.fulfill(json=forged), times=1)
    Demo(tab, user, user).open().page.wait_for_load_state()
    for state in tab.locator(".state").all():
        expect(state).to_have_text(LIVE)


def test_a_refused_change_is_taken_back(page: Demo) -> None:
    aiko, _ = page.users
    page.send(aiko, title="Stays")
    page.page.route("**/api/notifications/*", lambda route: route.abort(), times=1)
    page.button(aiko, "Delete: Stays").click()
    expect(page.panel(aiko).get_by_role("alert")).to_contain_text("does not answer")
    expect(page.item(aiko, "Stays")).to_be_visible()
    expect(page.bell(aiko)).to_have_text("1")
    page.button(aiko, "Try again").click()
    expect(page.item(aiko, "Stays")).to_have_count(0)
    expect(page.bell(aiko)).to_have_text("")
    expect(page.panel(aiko).get_by_role("alert")).to_be_hidden()


def test_older_notifications_come_by_the_page(page: Demo, demo: Stack) -> None:
    aiko, _ = page.users
    titles = [f"No {number}" for number in range(45)]
    create(demo, aiko, *titles)
    expect(page.bell(aiko)).to_have_text("45")
    page.page.reload()
    expect(page.panel(aiko).locator(".item")).to_have_count(30)
    page.button(aiko, "Show older").click()
    expect(page.panel(aiko).locator(".item")).to_have_count(45)
    expect(page.button(aiko, "Show older")).to_be_hidden()
    assert page.panel(aiko).locator("h3").all_text_contents() == titles[::-1]


def test_a_panel_takes_another_user(page: Demo) -> None:
    aiko, ben = page.users
    page.send(ben, title="For Ben")
    who = page.panel(aiko).get_by_label("User id")
    who.fill("")
    who.press("Enter")
    expect(page.panel(aiko).get_by_role("alert")).to_contain_text("must be 1 to 255 characters")
    who.fill(ben)
    who.press("Enter")
    expect(page.item(ben, "For Ben")).to_have_count(2)  # one device on each side
    expect(page.page).to_have_url(re.compile(f"left={ben}"))


def test_the_raw_stream_opens_in_a_new_tab(page: Demo, context: BrowserContext) -> None:
    aiko, _ = page.users
    with context.expect_page() as opened:
        page.button(aiko, "Raw stream").click()
    expect(opened.value.get_by_text("event: connected")).to_be_visible()


def test_killing_the_workers_keeps_the_stream(page: Demo, demo: Stack) -> None:
    aiko, ben = page.users
    demo.kill_workers()
    page.send("Both", title="Still here")
    for user in (aiko, ben):
        expect(page.item(user, "Still here")).to_be_visible()
        expect(page.state(user)).to_have_text(LIVE)
        expect(page.events(user, "connected")).to_have_count(1)


def test_an_idle_page_asks_for_nothing(page: Demo) -> None:
    asked: list[str] = []
    page.page.on("request", lambda request: asked.append(request.url))
    for user in page.users:
        expect(page.events(user, "heartbeat").nth(4)).to_be_attached()
    assert asked == []


def test_the_page_runs_nothing_from_elsewhere(demo: Stack) -> None:
    for path in ("/", "/demo/demo.js", "/demo/demo.css"):
        answer = httpx.get(demo.url + path).raise_for_status()
        assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
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
        ('{"user_id": 7}', 422),
        ('{"user_id": ""}', 422),
        ('{"user_id": "\\n"}', 422),
    ],
)
def test_a_token_needs_a_user_id(demo: Stack, body: str, status: int) -> None:
    answer = httpx.post(f"{demo.url}/demo/token", content=body)
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")


def test_without_demo_there_is_no_page_and_no_token(demo: Stack) -> None:
    client = create_app(Settings.from_env({**demo.settings_env, "SHIRASE_DEMO": "off"})).test_client()
    assert client.get("/").status_code == httpx.codes.NOT_FOUND
    assert client.get("/demo/demo.js").status_code == httpx.codes.NOT_FOUND
    assert client.post("/demo/token", json={"user_id": "Aiko"}).status_code == httpx.codes.NOT_FOUND


def create(stack: Stack, user: str, *titles: str) -> None:
    """Create notifications as a producer would, past the page and past the proxy."""
    batch = [{"user_id": user, "type": "test", "title": title, "message": ""} for title in titles]
    headers = {"Authorization": f"Bearer {stack.token('producer', 'notifications:write')}"}
    url = f"{stack.origin_url}/api/notifications/batch"
    httpx.post(url, json={"notifications": batch}, headers=headers).raise_for_status()


def look(page: Page, *, hidden: bool) -> None:
    """Tell the page that it is looked at, or not; a headless browser shows all its tabs at once."""
    page.evaluate(
        """hidden => {
            Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
            document.dispatchEvent(new Event("visibilitychange"));
        }""",
        hidden,
    )


def tab_to(page: Page, target: Locator) -> None:
    """Press Tab until the target has the focus."""
    for _ in range(TAB_STOPS):
        if target.evaluate("element => element === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"the keyboard does not reach {target}")
