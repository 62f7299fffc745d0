"""Checks of a request by its headers."""

from shirase.errors import Malformed, NotFound
from shirase.web.site_check import Headers


def refuse_from_proxy(headers: Headers) -> None:
    """Refuse requests through the proxy, which signs every request; a client cannot remove the signature.

    This protects pages for operators better than their path does, since proxies normalise paths differently.

    Raises:
        NotFound: if the request came through a proxy, whichever key it signs with.
    """
    if headers.get("Grip-Sig") is not None:
        raise NotFound("there is nothing at this address")


def refuse_upgrade(headers: Headers) -> None:
    """Refuse WebSocket handshakes.

    A page of any site can have a browser send one, a GET with the user's cookies.

    Raises:
        Malformed: for a handshake.
    """
    if "websocket" in (headers.get("Upgrade") or "").lower() or headers.get("Sec-WebSocket-Key") is not None:
        raise Malformed("this address does not accept WebSocket: send a plain GET")
