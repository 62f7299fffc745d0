"""Unsubscribing from mail: a mail program's one click, and a page for people."""

from shirase.errors import NotFound
from shirase.inbox import unsubscribe
from shirase.web.blueprint import Blueprint
from shirase.web.call import services
from shirase.web.http import Response
from shirase.web.operation import PUBLIC, Operation, operation

blueprint = Blueprint("unsubscribe", unsubscribe.PATH)

HTML = "text/html"
UNKNOWN = "this address is not valid"
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>
<main><h1>{title}</h1>{body}</main></html>
"""
FORM = '<form method="post"><button>Unsubscribe</button></form>'


@blueprint.get("/<sealed>")
@operation(
    Operation(
        "Ask before unsubscribing from mail",
        PUBLIC,
        {200: ("A page with a button", HTML)},
        problems=(404,),
        description="GET changes nothing, because programs that check links in mail open it too.",
    )
)
def ask_to_unsubscribe(sealed: str) -> Response:
    """The page that a link in a mail opens."""
    if unsubscribe.scope_of(services().settings, sealed) is None:
        raise NotFound(UNKNOWN)
    return Response(PAGE.format(title="Unsubscribe from this mail?", body=FORM), 200, HTML)


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
    wired = services()
    if not unsubscribe.unsubscribe(wired.database, wired.publisher, wired.settings, sealed):
        raise NotFound(UNKNOWN)
    return Response(PAGE.format(title="You are unsubscribed", body="<p>You can close this page.</p>"), 200, HTML)
