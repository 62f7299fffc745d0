"""Unsubscribing from mail: a mail program's one click, and a page for people."""

import base64
import hashlib
from html import escape

from shirase.errors import Invalid, NotFound, ShiraseError
from shirase.inbox import unsubscribe
from shirase.inbox.translations import RIGHT_TO_LEFT, WORDS, language
from shirase.inbox.unsubscribe import Subscription
from shirase.web.blueprint import Blueprint
from shirase.web.call import request, services
from shirase.web.http import Response
from shirase.web.operation import PUBLIC, Operation, operation

blueprint = Blueprint("unsubscribe", unsubscribe.PATH)

HTML = "text/html"
STYLE = """
:root { color-scheme: light dark }
body { box-sizing: border-box; display: grid; font: 1rem/1.5 system-ui, sans-serif; margin: 0; min-height: 100vh;
  padding: 1.5rem; place-items: center; text-align: center }
main { max-width: 26rem }
h1 { font-size: 1.375rem; line-height: 1.3; margin: 0; overflow-wrap: anywhere; text-wrap: balance }
button { background: #b42318; border: 1px solid transparent; border-radius: 8px; color: #fff; cursor: pointer;
  font: inherit; font-weight: 600; margin-top: 1.5rem; min-height: 2.75rem; padding: .5rem 1.5rem }
button:focus-visible { outline: 3px solid; outline-offset: 2px }
"""
PAGE = (
    '<!doctype html>\n<html lang="{language}" dir="{direction}"><meta charset="utf-8">'
    '<meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">'
    f"<title>{{title}}</title><style>{STYLE.replace('{', '{{').replace('}', '}}')}</style>"
    "<main><h1>{title}</h1>{form}</main></html>\n"
)
FORM = '<form method="post"><button>{}</button></form>'
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


@blueprint.get("/<sealed>")
@operation(
    Operation(
        "Ask before unsubscribing from mail",
        PUBLIC,
        {200: ("A page with a button", HTML)},
        problems=(404,),
        description="GET changes nothing, because programs that check links in mail open it too. A client that accepts"
        " `text/html` gets a page instead of a problem document.",
    )
)
def ask_to_unsubscribe(sealed: str) -> Response:
    """The page that a link in a mail opens, in the user's language."""
    return _answer(sealed, is_asking=True)


@blueprint.post("/<sealed>")
@operation(
    Operation(
        "Unsubscribe from mail with one click",
        PUBLIC,
        {200: ("Mail of this type, or all mail, is switched off", HTML)},
        problems=(404, 422),
        description="The address is the `List-Unsubscribe` of a mail (RFC 8058). It is signed, so no token is needed."
        " 422 if the type has become critical.",
    )
)
def unsubscribe_with_one_click(sealed: str) -> Response:
    """Switch mail off for the type of the mail, or for everything where the mail had several."""
    return _answer(sealed, is_asking=False)


def _answer(sealed: str, *, is_asking: bool) -> Response:
    wired = services()
    subscription = Subscription.of(wired.settings, sealed)
    label, locale = subscription.describe(wired.database) if subscription else (None, None)
    chosen = language(locale or request().headers.get("Accept-Language"))
    words = WORDS[chosen]
    if subscription is None:
        return _refuse(NotFound("this address is not valid"), _page(chosen, 404, words.invalid))
    if is_asking:
        return _page(chosen, 200, words.ask_all if label is None else words.ask, label, FORM.format(words.unsubscribe))
    try:
        subscription.end(wired.database, wired.publisher)
    except Invalid as exc:
        return _refuse(exc, _page(chosen, 422, words.critical))
    return _page(chosen, 200, words.done_all if label is None else words.done, label)


def _refuse(error: ShiraseError, page: Response) -> Response:
    if HTML in request().headers.get("Accept", ""):
        return page
    raise error


def _page(chosen: str, status: int, title: str, label: str | None = None, form: str = "") -> Response:
    page = PAGE.format(
        language=chosen,
        direction="rtl" if chosen in RIGHT_TO_LEFT else "ltr",
        title=escape(title.format(label=label)),
        form=form,
    )
    return Response(page, status, HTML, {"Content-Security-Policy": POLICY})
