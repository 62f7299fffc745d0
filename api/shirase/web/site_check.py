"""Which page a request comes from, by the headers that browsers send and pages cannot forge (WHATWG Fetch).

A browser sends a user's cookies with any request that any page causes: with forms and pictures, and with WebSocket
handshakes, which are GETs whose only mark is their ``Origin``. Another subdomain or port of the same site is another
page, too: it changes nothing unless its origin is listed.
"""

from typing import Protocol

from shirase.errors import Forbidden
from shirase.settings import Settings

SAFE = ("GET", "HEAD", "OPTIONS")  # change nothing (RFC 9110 section 9.2.1)
OWN = ("same-origin", "none")  # none: the user typed the address
SIBLING = "same-site"


class Headers(Protocol):
    """The headers of a request, from any framework."""

    def get(self, name: str, /) -> str | None:
        """A header's value; its name is case-insensitive."""


def require_own_page(headers: Headers, method: str, settings: Settings, *, is_hold: bool) -> None:
    """Let pass a request whose token is in a cookie, if it comes from a page of ours or a listed one.

    A change needs proof of that. A GET needs none, as no other page can read the answer; but one that plainly comes
    from elsewhere could open streams until the user's own are ended.

    Args:
        headers: those of the request.
        method: of the request.
        settings: the listed origins.
        is_hold: whether the answer is a stream or a long poll. A sibling origin needs to be listed for these too: the
            picture of its page would take the place of one of the user's own streams.

    Raises:
        Forbidden: for any other page's.
    """
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    if origin in settings.cors_origins or site == "same-origin":
        return
    # Our own page's GET has no Origin.
    elsewhere = origin is not None or (site not in (None, *OWN) and (is_hold or site != SIBLING))
    if method not in SAFE or elsewhere:
        raise Forbidden("with a cookie, this needs Sec-Fetch-Site: same-origin, or an Origin that is listed")


def refuse_other_pages(headers: Headers, method: str, host: str, settings: Settings, *, is_hold: bool) -> None:
    """Let pass a request with an application's own sign-in, unless it comes from a page of another origin.

    Browsers name the page's site, or in older ones its origin; a request that names neither is not from a browser.

    Args:
        headers: those of the request.
        method: of the request.
        host: the host that the request was sent to.
        settings: the listed origins.
        is_hold: as above.

    Raises:
        Forbidden: if a page of another origin asks, which is not listed.
    """
    origin, site = headers.get("Origin"), headers.get("Sec-Fetch-Site")
    if origin in settings.cors_origins or site in OWN:
        return
    if site is None:
        elsewhere = origin is not None and origin.partition("://")[2] != host
    else:
        elsewhere = site != SIBLING or origin is not None or method not in SAFE or is_hold
    if elsewhere:
        raise Forbidden("this is not for pages of other origins, unless their Origin is listed")
