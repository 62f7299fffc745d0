"""Headers that tell a browser what an answer may do: a page runs its own files, data runs nothing."""

from shirase.web.http import Response

# Everything comes from this origin and nothing is inline, so that text which someone managed to smuggle in as markup
# would still not run. (The reader of the API has pictures in its style sheet.)
PAGE = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
FRAMED_PAGE = PAGE.replace("frame-ancestors 'none'", "frame-ancestors 'self'")
DATA = "default-src 'none'; frame-ancestors 'none'"


def headers(media_type: str) -> tuple[dict[str, str], dict[str, str]]:
    """Those that every answer of this type has, and those that it has unless it names its own."""
    always = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}  # an address may carry a token
    # By default an answer is one caller's alone.
    return always, {"Content-Security-Policy": PAGE if media_type == "text/html" else DATA, "Cache-Control": "no-store"}


def harden(response: Response) -> None:
    """Put them on an answer, whose other headers are complete."""
    always, unless_set = headers(response.media_type)
    response.headers.update(always)
    for name, value in unless_set.items():
        response.headers.setdefault(name, value)
    if "no-store" in response.headers["Cache-Control"]:
        # A service worker's cache knows no Cache-Control; this it must refuse. It implies `Vary: Origin`.
        response.headers["Vary"] = "*"
