"""The components inside any page: what is seen, in pixels."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.looks import MIDDLE, Looks, build, host_style

LONG = "lorem ipsum dolor sit amet " * 148
ROWS: list[dict[str, Any]] = [
    {"title": "Read already", "message": "Old news.", "is_read": True},
    {"title": "Interview scheduled", "message": "Tuesday at ten.", "payload": {"url": "/interviews/18"}},
    {"title": "A long one", "message": LONG},
    {"title": "מה שלומך? (בוקר טוב!)", "message": "שלום עולם, הכל בסדר?"},
]
TYPES: list[dict[str, Any]] = [
    {"type": "a.b", "label": "Interviews", "description": "When one is scheduled, moved or cancelled"},
    {"type": "c.d", "label": "Bewerbungsunterlagenaktualisierungsbenachrichtigungen", "description": ""},
    {"type": "e.f", "label": "Security", "description": "", "critical": True},
]
for _type in TYPES:
    _type.update({"category": None, "critical": _type.get("critical", False), "channels": [{"channel": "email"}]})
HOSTS = ("bootstrap", "tailwind", "vite", "hostile")
RTL = 'dir="rtl"'
SIZES = ((320, 640), (390, 844), (1280, 800))
INSIDE = """() => {
    const { left, top, right, bottom } = document.querySelector(".shirase-panel").getBoundingClientRect();
    return left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight;
}"""
LEFT_EDGE = "position: absolute; top: 0; left: 0"
DARK = 'style="color-scheme: dark; background: #111"'
STYLE_OF = "(element, name) => getComputedStyle(element)[name]"
# What is drawn, and where, relative to the bell: hosts move the bell itself.
DRAWN = """() => {
    const bell = (document.querySelector(".shirase-bell-button") ?? document.body).getBoundingClientRect();
    const names = ["color", "backgroundColor", "fontSize", "fontWeight", "fontStyle", "textAlign", "textTransform",
        "textDecorationLine", "letterSpacing", "listStyleType", "display", "visibility", "borderTopWidth", "boxShadow",
        "fill", "stroke", "strokeWidth", "textShadow", "content"];
    const roots = ":is(.shirase-bell, .shirase-list, .shirase-preferences, .shirase-status)";
    return [...document.querySelectorAll(`${roots}, ${roots} :is([class^=shirase-], path)`)].flatMap((element) => {
        const { x, y, width, height } = element.getBoundingClientRect();
        return ["", "::before", "::after"].map((pseudo) => {
            const style = getComputedStyle(element, pseudo);
            const box = element.closest(".shirase-bell-button")
                ? [x - bell.x, y - bell.y, width, height].map(Math.round)
                : [Math.round(width), Math.round(height)];
            return [element.getAttribute("class") + pseudo, ...box, ...names.map((name) => style[name])].join(" ");
        });
    });
}"""

Show = Callable[..., Looks]


@pytest.fixture(scope="module")
def built() -> dict[str, str]:
    return build()


@pytest.fixture
def show(browser: Browser, built: dict[str, str], request: pytest.FixtureRequest) -> Show:
    """Show a scene in a new page; no script may fail, and the console must stay empty."""

    def show(size: tuple[int, int] = (900, 800), context: dict[str, Any] | None = None, **scene: Any) -> Looks:
        viewport = {"width": size[0], "height": size[1]}
        opened = browser.new_context(viewport=viewport, reduced_motion="reduce", **(context or {}))  # type: ignore[arg-type]
        request.addfinalizer(opened.close)
        page = opened.new_page()
        page.on("pageerror", lambda error: pytest.fail(str(error)))
        return Looks(page, built).show(**scene)

    return show


@pytest.mark.parametrize(("more", "text", "host"), [(24, "24", ""), (120, "99+", ""), (120, "99+", "hostile")])
def test_a_badge_is_one_line(show: Show, more: int, text: str, host: str) -> None:
    looks = show(more=more, host=host and host_style(host))
    expect(looks.badge).to_have_text(text)
    badge, bell = looks.badge.bounding_box(), looks.bell.bounding_box()
    assert badge
    assert bell
    assert badge["height"] < 22
    assert badge["width"] < 40
    assert bell["width"] == bell["height"] == 44


@pytest.mark.parametrize(
    ("at", "root", "text"),
    [
        (LEFT_EDGE, "", 16),
        ("position: absolute; top: 0; right: 0", RTL, 32),
        ("position: absolute; bottom: 0; left: 0", RTL, 16),
        (MIDDLE, "", 32),
    ],
)
def test_a_panel_is_inside_the_window(show: Show, at: str, root: str, text: int) -> None:
    style = f":root {{ --shirase-size: {text}px }}"
    looks = show(SIZES[0], at=at, root=root, notifications=ROWS, host=style).open()
    expect(looks.panel.locator(".shirase-item")).to_have_count(4)
    for width, height in SIZES:
        looks.page.set_viewport_size({"width": width, "height": height})
        looks.page.wait_for_function(INSIDE)
        assert looks.panel.evaluate("panel => panel.clientHeight") > 200
        assert looks.page.evaluate("document.documentElement.scrollWidth") == width
        assert looks.panel.evaluate("panel => panel.scrollWidth <= panel.clientWidth")


@pytest.mark.parametrize(("align", "root", "edge"), [("start", "", "left"), ("end", "", "right"), ("end", RTL, "left")])
def test_a_panel_keeps_to_its_align(show: Show, align: str, root: str, edge: str) -> None:
    looks = show((1280, 800), align=align, root=root, notifications=ROWS).open()
    edges = [
        item.evaluate(f"one => Math.round(one.getBoundingClientRect().{edge})") for item in (looks.bell, looks.panel)
    ]
    assert edges[0] == edges[1]


def test_nothing_around_a_panel_cuts_it_off(show: Show) -> None:
    host = "#root { overflow: hidden; height: 60px; transform: scale(1); position: relative; z-index: 0 }"
    looks = show(
        host=host + " body::after { content: ''; position: fixed; inset: 0; z-index: 9 }", at="", notifications=ROWS
    )
    looks.bell.evaluate("bell => bell.click()")
    last = looks.page.get_by_role("button", name="Delete: Read already")
    last.scroll_into_view_if_needed()
    assert last.evaluate(
        """button => {
            const { x, y } = button.getBoundingClientRect();
            return button.contains(document.elementFromPoint(x + 5, y + 5));
        }"""
    )


@pytest.mark.parametrize("host", HOSTS)
def test_any_host_stylesheet_leaves_the_looks_alone(show: Show, host: str) -> None:
    same_font = ":root { --shirase-font: sans-serif }"
    alone = show(notifications=ROWS, more=24, host=same_font).open()
    expect(alone.page.get_by_role("button", name="More: A long one")).to_be_visible()
    expected = alone.page.evaluate(DRAWN)
    within = show(notifications=ROWS, more=24, host=same_font + host_style(host)).open()
    expect(within.page.get_by_role("button", name="More: A long one")).to_be_visible()
    assert within.page.evaluate(DRAWN) == expected


@pytest.mark.parametrize(("host", "show_what"), [("hostile", "list"), ("hostile", "status"), ("bootstrap", "list")])
def test_outside_of_a_bell_too(show: Show, host: str, show_what: str) -> None:
    """Where a host lays the outermost element out itself, what is in it stays as it is."""
    inner = DRAWN.replace(": [Math.round(width), Math.round(height)]", ": []")
    fixed = ":root { --shirase-font: sans-serif } .shirase-list { width: 500px !important; max-width: none !important }"
    pages = [show(show=show_what, notifications=ROWS, host=fixed + style) for style in ("", host_style(host))]
    for each in pages:
        expect(each.page.locator(".shirase-item" if show_what == "list" else "[data-status=open]")).not_to_have_count(0)
    assert pages[1].page.evaluate(inner) == pages[0].page.evaluate(inner)


@pytest.mark.parametrize("host", HOSTS)
def test_preferences_look_the_same_in_any_host(show: Show, host: str) -> None:
    fixed = (
        "#at .shirase-preferences { --shirase-font: sans-serif; width: 500px !important; max-width: none !important }"
    )
    pages = [show(show="preferences", types=TYPES, host=fixed + style) for style in ("", host_style(host))]
    for each in pages:
        expect(each.page.get_by_role("checkbox")).to_have_count(6)
    assert pages[1].page.evaluate(DRAWN) == pages[0].page.evaluate(DRAWN)


@pytest.mark.parametrize(("root", "text"), [("", 16), (RTL, 16), ("", 32)])
def test_preferences_fit_a_phone_and_a_finger(show: Show, root: str, text: int) -> None:
    style = f":root {{ --shirase-size: {text}px }} body {{ margin: 0 }}"
    looks = show((320, 640), at="", root=root, show="preferences", types=TYPES, host=style)
    box = looks.page.get_by_role("checkbox", name="Interviews: Inbox")
    expect(box).to_be_checked()
    assert looks.page.evaluate("document.documentElement.scrollWidth") == 320
    target = looks.page.locator(".shirase-switch").first.bounding_box()
    assert target
    assert min(target["width"], target["height"]) >= 44
    looks.page.mouse.click(target["x"] + 3, target["y"] + 3)  # beside the box itself
    expect(box).not_to_be_checked()


def test_unreadable_preferences_are_reported_with_a_retry(show: Show) -> None:
    looks = show(show="preferences")
    expect(looks.page.get_by_role("alert")).to_contain_text("could not be loaded")
    button = looks.page.get_by_role("button", name="Try again")
    assert button.evaluate(STYLE_OF, "cursor") == "pointer"
    assert looks.page.locator(".shirase-empty .shirase-icon").bounding_box()["width"] < 50  # type: ignore[index]


def test_each_text_runs_in_its_own_direction(show: Show) -> None:
    for root, mark in (("", "left"), ('dir="rtl"', "right")):
        looks = show(root=root, notifications=ROWS).open()
        hebrew = looks.page.locator(".shirase-item").filter(has_text="מה שלומך")
        english = looks.page.locator(".shirase-item").filter(has_text="Interview")
        for item, direction in ((hebrew, "rtl"), (english, "ltr")):
            for part in (".shirase-title", ".shirase-message"):
                assert item.locator(part).evaluate(STYLE_OF, "direction") == direction
        row, actions = hebrew.bounding_box(), hebrew.locator(".shirase-actions").bounding_box()
        assert row
        assert actions
        # The unread mark is where the row begins, and the buttons where it ends.
        gap_left = actions["x"] - row["x"]
        gap_right = row["x"] + row["width"] - actions["x"] - actions["width"]
        assert (gap_left > gap_right) == (mark == "left")
        place = "li => parseFloat(getComputedStyle(li, '::before').left) < li.clientWidth / 2"
        assert hebrew.evaluate(place) == (mark == "left")


def test_a_long_message_is_cut_until_it_is_asked_for(show: Show) -> None:
    looks = show(notifications=ROWS).open()
    item = looks.page.locator(".shirase-item").filter(has_text="A long one")
    expect(item.get_by_role("button", name="More:")).to_be_visible()  # which adds to the height
    short = item.bounding_box()
    assert short
    assert short["height"] < 200
    looks.page.get_by_role("button", name="More: A long one").click()
    item_height = "li => li.getBoundingClientRect().height"
    assert item.evaluate(item_height) > 1000
    looks.page.keyboard.press("Enter")
    assert item.evaluate(item_height) == short["height"]
    expect(looks.page.get_by_role("button", name="More: A long one")).to_be_focused()
    expect(looks.page.get_by_role("button", name="More:")).to_have_count(1)


def test_nothing_moves_under_the_pointer(show: Show) -> None:
    looks = show(notifications=ROWS).open()
    bin_button = looks.page.get_by_role("button", name="Delete: A long one")
    bin_button.hover()
    rows = "() => [...document.querySelectorAll('[data-id]')].map((row) => row.getBoundingClientRect().y)"
    before = looks.page.evaluate(rows)
    looks.page.evaluate("['One', 'Two'].forEach((title) => server.create(title))")
    looks.page.evaluate("server.remove(1), server.read('all')")
    expect(looks.page.get_by_role("button", name="2 new")).to_be_visible()
    assert looks.page.evaluate(rows) == before
    bin_button.click()
    expect(looks.page.get_by_role("button", name="Undo: A long one")).to_be_visible()
    assert looks.page.evaluate(rows) == before
    looks.page.get_by_role("button", name="Undo: A long one").click()
    expect(bin_button).to_be_visible()
    assert looks.page.evaluate(rows) == before


def test_without_light_dark_it_is_as_legible(show: Show, built: dict[str, str]) -> None:
    """A browser that does not know ``light-dark()`` takes it for any other unknown function."""
    style = built["style"].replace("light-dark(", "unknown-function(")
    assert style != built["style"]
    for root, least, most in (("", 200, 255), (DARK, 0, 60)):
        looks = show(root=root, style=style, notifications=ROWS).open()
        shade = looks.panel.evaluate("panel => getComputedStyle(panel).backgroundColor.match(/[\\d.]+/g).map(Number)")
        assert all(least <= part <= most for part in shade[:3])
        assert len(shade) == 3  # and nothing of the page shines through
        ink = looks.page.locator(".shirase-title").first.evaluate(STYLE_OF, "color")
        assert ink in ("rgb(0, 0, 0)", "rgb(255, 255, 255)")
        assert (ink == "rgb(255, 255, 255)") == (root == DARK)
        accent = looks.badge.evaluate(STYLE_OF, "backgroundColor")
        assert accent == "rgb(204, 65, 37)"


def test_forced_colours_distinguish_unread_from_read(show: Show) -> None:
    looks = show(context={"forced_colors": "active"}, notifications=ROWS).open()
    unread = looks.page.locator(".shirase-item[data-read=false]").first
    read = looks.page.locator(".shirase-item[data-read=true]")
    assert unread.evaluate(STYLE_OF, "borderInlineStartWidth") != read.evaluate(STYLE_OF, "borderInlineStartWidth")
    mark = "li => getComputedStyle(li, '::before').backgroundColor"
    surface = looks.panel.evaluate(STYLE_OF, "backgroundColor")
    assert unread.evaluate(mark) not in (surface, "rgba(0, 0, 0, 0)")
    assert looks.badge.evaluate(STYLE_OF, "borderTopWidth") == "1px"


def test_who_is_signed_out_can_sign_in(show: Show) -> None:
    looks = show(signedOut=True).open()
    expect(looks.panel).to_contain_text("Sign in to see your notifications.")
    expect(looks.page.get_by_role("alert")).to_have_count(0)
    looks.page.get_by_role("button", name="Sign in").click()
    expect(looks.panel).to_contain_text("All quiet")
