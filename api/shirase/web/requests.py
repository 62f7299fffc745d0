"""What the headers of a request tell about how it came."""

from shirase.errors import Malformed, NotFound
from shirase.web.site_check import Headers


def refuse_from_proxy(headers: Headers) -> None:
    """Let pass what did not come through the proxy: it signs every request, and no client can take that off.

    Pages for operators are refused by this and not by their path, which proxies spell and normalise in their own ways.

    Raises:
        NotFound: if the proxy passed it on, whatever key it signs with.
    """
    if headers.get("Grip-Sig") is not None:
        raise NotFound("there is nothing at this address")


def refuse_upgrade(headers: Headers) -> None:
    """Let pass what is no WebSocket handshake.

    A handshake is a GET that a page of any site may have a browser send, with the user's cookies.

    Raises:
        Malformed: for a handshake.
    """
    if "websocket" in (headers.get("Upgrade") or "").lower() or headers.get("Sec-WebSocket-Key") is not None:
        raise Malformed("this address does not speak WebSocket: ask for it by a plain GET")
