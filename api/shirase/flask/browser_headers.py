"""Headers that tell a browser what an answer may do: a page runs its own files, data runs nothing."""

from flask import Blueprint, Flask, Response

# Everything comes from this origin and nothing is inline, so that text which someone managed to smuggle in as markup
# would still not run. (The reader of the API has pictures in its style sheet.)
PAGE = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
FRAMED_PAGE = PAGE.replace("frame-ancestors 'none'", "frame-ancestors 'self'")
DATA = "default-src 'none'; frame-ancestors 'none'"


def register(routes: Flask | Blueprint) -> None:
    """Put them on every answer, errors included."""
    routes.after_request(_harden)


def _harden(response: Response) -> Response:
    is_page = response.mimetype == "text/html"
    response.headers.setdefault("Content-Security-Policy", PAGE if is_page else DATA)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"  # an address may carry a token
    response.headers.setdefault("Cache-Control", "no-store")  # by default an answer is one caller's alone
    return response
