"""The page of the API: legible in light and dark, and to everybody."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import PATIENCE
from tests.browser.test_accessibility import AXE
from tests.support.stack import Stack

FIND = """async (part) => {
    const { violations } = await axe.run(part);
    return violations.filter(({ impact }) => impact !== "minor").map(({ id, nodes }) => [id, nodes.length,
        ...nodes.slice(0, 3).map(({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`)]);
}"""
OPENED = ("create", "index", "put_keyed", "counts")


@pytest.fixture(params=["light", "dark"])
def docs(request: pytest.FixtureRequest, browser: Browser, demo: Stack) -> Iterator[Page]:
    """The page in a colour scheme."""
    context = browser.new_context(base_url=demo.url, color_scheme=request.param, reduced_motion="reduce")
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto("/api/docs")
    expect(page.locator(".opblock")).not_to_have_count(0)
    yield page
    context.close()
    assert complaints == []  # of the content policy, for example


def test_axe_finds_nothing_above_minor(docs: Page) -> None:
    docs.evaluate(AXE.read_text())
    for operation in OPENED:
        docs.locator(f".opblock[id$=-{operation}] .opblock-summary-control").click()
        expect(docs.locator(f".opblock[id$=-{operation}] .opblock-body")).to_be_visible()
    docs.get_by_role("button", name="Try it out").first.click()
    assert docs.evaluate(FIND, "html") == []
    docs.locator(".btn.authorize").click()
    expect(docs.get_by_text("shirase token --user ID prints one")).to_be_visible()
    assert docs.evaluate(FIND, ".dialog-ux") == []


def test_the_page_is_dark_where_the_reader_is(docs: Page) -> None:
    is_dark = docs.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    for dark in (is_dark, not is_dark):
        docs.emulate_media(color_scheme="dark" if dark else "light")
        expect(docs.locator("html")).to_have_css("color-scheme", "dark" if dark else "normal")
        background = "rgb(28, 32, 34)" if dark else "rgba(0, 0, 0, 0)"
        expect(docs.locator("html")).to_have_css("background-color", background)


@pytest.mark.parametrize("docs", ["light"], indirect=True)
def test_it_explains_how_to_get_a_token_and_uses_it(docs: Page, demo: Stack, user: str) -> None:
    expect(docs.locator(".info")).to_contain_text("shirase token --user ID --scope notifications:write")
    docs.locator(".btn.authorize").click()
    field = docs.get_by_role("dialog").get_by_role("textbox").first
    expect(field).to_be_focused()
    field.fill(demo.token(user))
    docs.keyboard.press("Enter")
    docs.get_by_role("button", name="Close").first.click()
    count = docs.locator(".opblock[id$=-counts]")
    count.locator(".opblock-summary-control").click()
    count.get_by_role("button", name="Try it out").click()
    count.get_by_role("button", name="Execute").click()
    expect(count.locator(".live-responses-table .response-col_status").last).to_contain_text("200")
