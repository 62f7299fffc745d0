"""CORS: which pages of other origins may read our answers (WHATWG Fetch, section 3.3).

An origin is compared with the list and never reflected: what is not listed gets no header that lets it in.
"""

METHODS = "GET, POST, DELETE"
REQUEST_HEADERS = "Authorization, Content-Type, Last-Event-ID, Idempotency-Key"
ANSWER_HEADERS = "Location, Retry-After, RateLimit, RateLimit-Policy, Idempotency-Replayed, X-Request-Id"
MAX_AGE = 7200  # seconds that a preflight's answer is kept: the most that Chromium allows


def is_preflight(method: str, requested: str | None) -> bool:
    """Whether a browser asks if it may ask; ``requested`` is ``Access-Control-Request-Method``."""
    return method == "OPTIONS" and bool(requested)


def headers(origins: frozenset[str], origin: str | None, method: str) -> dict[str, str]:
    """What an answer carries for the page of that ``Origin``; nothing at all if no origin is listed."""
    if not origins:
        return {}
    # Also where there is no origin: a cache must not give that answer to a page.
    found = {"Vary": "Origin"}
    if origin not in origins:
        return found
    found |= {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
    if method == "OPTIONS":
        return found | {
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": REQUEST_HEADERS,
            "Access-Control-Max-Age": str(MAX_AGE),
        }
    return found | {"Access-Control-Expose-Headers": ANSWER_HEADERS}
