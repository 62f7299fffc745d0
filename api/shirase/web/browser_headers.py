"""Security headers: a page may load its own files only, data may load nothing."""

from shirase.web.http import Response

# Everything is loaded from this origin and nothing is inline, so injected markup would not run. (The page of the API
# document has data: images in its style sheet.)
PAGE = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
FRAMED_PAGE = PAGE.replace("frame-ancestors 'none'", "frame-ancestors 'self'")
DATA = "default-src 'none'; frame-ancestors 'none'"


def headers(media_type: str) -> tuple[dict[str, str], dict[str, str]]:
    """The headers of every response of this type, and the defaults that a response may override."""
    always = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}  # a URL may contain a token
    # By default a response is private to its caller.
    return always, {"Content-Security-Policy": PAGE if media_type == "text/html" else DATA, "Cache-Control": "no-store"}


def harden(response: Response) -> None:
    """Add the security headers to a response whose other headers are complete."""
    always, unless_set = headers(response.media_type)
    response.headers.update(always)
    for name, value in unless_set.items():
        response.headers.setdefault(name, value)
    if "no-store" in response.headers["Cache-Control"]:
        # A service worker's cache ignores Cache-Control, but must refuse `Vary: *`, which includes Origin.
        response.headers["Vary"] = "*"
