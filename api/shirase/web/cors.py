"""CORS: which pages of other origins may read our responses (WHATWG Fetch, section 3.3).

An origin is compared with the list and never reflected: an origin that is not listed gets no CORS headers.
"""

from shirase.settings import ProxySettings, Settings

METHODS = "GET, POST, PUT, DELETE"
REQUEST_HEADERS = (
    *("Authorization", "Content-Type", "Last-Event-ID", "Idempotency-Key", "X-Request-Id"),
    *("Cache-Control", "Pragma", "X-Requested-With"),  # EventSource polyfills and older libraries
    # Headers that tracing libraries add to every request: W3C Trace Context and Baggage, Sentry, B3, Datadog, …
    *("traceparent", "tracestate", "baggage", "sentry-trace", "b3", "newrelic", "elastic-apm-traceparent"),
    *("X-B3-TraceId", "X-B3-SpanId", "X-B3-ParentSpanId", "X-B3-Sampled", "X-B3-Flags", "uber-trace-id"),
    *("x-datadog-origin", "x-datadog-parent-id", "x-datadog-sampling-priority", "x-datadog-trace-id", "x-datadog-tags"),
)
# Without Vary, WebKit's caches do not see that they must refuse the response.
ANSWER_HEADERS = "Location, Retry-After, RateLimit, RateLimit-Policy, Idempotency-Replayed, X-Request-Id, Vary"
MAX_AGE = 7200  # seconds to cache a preflight: Chromium's maximum


def is_preflight(method: str, requested: str | None) -> bool:
    """Whether the request is a preflight; ``requested`` is ``Access-Control-Request-Method``."""
    return method == "OPTIONS" and bool(requested)


def headers(settings: Settings | ProxySettings, origin: str | None, method: str) -> dict[str, str]:
    """The response's CORS headers for this ``Origin``; none if no origin is configured."""
    origins = settings.cors_origins
    if not origins:
        return {}
    # Even without an Origin: a cache must not give that response to a page.
    answer = {"Vary": "Origin"}
    if origin not in origins:
        return answer
    answer |= {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
    if method == "OPTIONS":
        return answer | {
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": ", ".join((*REQUEST_HEADERS, *sorted(settings.cors_headers))),
            "Access-Control-Max-Age": str(MAX_AGE),
        }
    return answer | {"Access-Control-Expose-Headers": ANSWER_HEADERS}
