"""CORS: which pages of other origins may read our answers (WHATWG Fetch, section 3.3).

An origin is compared with the list and never reflected: what is not listed gets no header that lets it in.
"""

from shirase.settings import ProxySettings, Settings

METHODS = "GET, POST, DELETE"
REQUEST_HEADERS = (
    *("Authorization", "Content-Type", "Last-Event-ID", "Idempotency-Key", "X-Request-Id"),
    *("Cache-Control", "Pragma", "X-Requested-With"),  # EventSource polyfills and older libraries
    # Tracing libraries add theirs to every request of a page: W3C Trace Context and Baggage, Sentry, B3, Datadog, …
    *("traceparent", "tracestate", "baggage", "sentry-trace", "b3", "newrelic", "elastic-apm-traceparent"),
    *("X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled", "X-B3-Flags", "uber-trace-id"),
    *("x-datadog-origin", "x-datadog-parent-id", "x-datadog-sampling-priority", "x-datadog-trace-id", "x-datadog-tags"),
)
# Without Vary, WebKit's caches do not know that they must refuse the answer.
ANSWER_HEADERS = "Location, Retry-After, RateLimit, RateLimit-Policy, Idempotency-Replayed, X-Request-Id, Vary"
MAX_AGE = 7200  # seconds that a preflight's answer is kept: the most that Chromium allows


def is_preflight(method: str, requested: str | None) -> bool:
    """Whether a browser asks if it may ask; ``requested`` is ``Access-Control-Request-Method``."""
    return method == "OPTIONS" and bool(requested)


def headers(settings: Settings | ProxySettings, origin: str | None, method: str) -> dict[str, str]:
    """What an answer carries for the page of that ``Origin``; nothing at all if no origin is listed."""
    origins = settings.cors_origins
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
            "Access-Control-Allow-Headers": ", ".join((*REQUEST_HEADERS, *sorted(settings.cors_headers))),
            "Access-Control-Max-Age": str(MAX_AGE),
        }
    return found | {"Access-Control-Expose-Headers": ANSWER_HEADERS}
