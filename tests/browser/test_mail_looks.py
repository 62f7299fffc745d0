"""The mail that the service sends, as mail programs with a browser's engine show it."""

from pathlib import Path

import pytest
from jinja2 import Environment, FileSystemLoader
from playwright.sync_api import Browser

from shirase.inbox.translations import WORDS
from shirase.relay.mail import messages

LONG = "Donaudampfschifffahrtsgesellschaftskapitänsmützenabzeichen" * 2
ONE = {
    "title": f"Interview {LONG}",
    "message": f"Tomorrow at ten.\nhttps://example.com/{LONG}",
    "url": "https://example.com/7",
    "actions": [{"label": "Accept", "url": "https://example.com/a"}, {"label": LONG, "url": "https://example.com/b"}],
    "created_at": "2026-11-27 13:49 Europe/Berlin",
}
CONTRAST = """() => {
    const luminance = colour => {
        const [r, g, b] = colour.match(/[0-9.]+/g).map(part => part / 255)
            .map(part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const of = element => getComputedStyle(element);
    const below = luminance(of(document.body).backgroundColor);
    return Math.min(...[...document.querySelectorAll("h2, p, a")].map(element => {
        const above = luminance(of(element).color);
        return (Math.max(above, below) + 0.05) / (Math.min(above, below) + 0.05);
    }));
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_mail_fits_a_phone_and_is_legible(browser: Browser, scheme: str) -> None:
    folder = Path(messages.__file__).parent / "templates"
    template = Environment(loader=FileSystemLoader(folder), autoescape=True).get_template("mail.html")
    html = template.render(
        notifications=[ONE],
        words=WORDS["de"],
        language="de",
        direction="ltr",
        subject="Interview",
        unsubscribe_url="https://example.com/api/unsubscribe/x",
    )
    page = browser.new_page(
        viewport={"width": 390, "height": 700}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page.set_content(html)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate(CONTRAST) >= 4.5
    assert (page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)") == (
        scheme == "light"
    )
    page.close()
