"""CORS: which pages of other origins may read our answers (WHATWG Fetch, section 3.3).

An origin is compared with the list and never reflected: what is not listed gets no header at all.
"""

from flask import Blueprint, Flask, Response, request

from api.settings import Settings

METHODS = "GET, POST, DELETE"
REQUEST_HEADERS = "Authorization, Content-Type, Last-Event-ID, Idempotency-Key"
ANSWER_HEADERS = "Location, Retry-After, RateLimit, RateLimit-Policy, Idempotency-Replayed, X-Request-Id"
MAX_AGE = 7200  # seconds that a preflight's answer is kept: the most that Chromium allows


def register(routes: Flask | Blueprint, settings: Settings) -> None:
    """Let the listed origins in; without any, browsers keep every other origin out by themselves."""
    if not settings.cors_origins:
        return

    def is_listed() -> bool:
        return request.headers.get("Origin") in settings.cors_origins

    @routes.before_request
    def answer_preflight() -> Response | None:
        """Answered before anything is asked of the caller: a preflight carries neither token nor cookie."""
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            answer = Response(status=204)
            del answer.headers["Content-Type"]  # there is nothing to be of a type
            return answer
        return None

    @routes.after_request
    def allow(response: Response) -> Response:
        response.vary.add("Origin")  # also where there is none: a cache must not give that answer to a page
        if is_listed():
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Access-Control-Allow-Credentials"] = "true"
            if request.method == "OPTIONS":
                response.headers["Access-Control-Allow-Methods"] = METHODS
                response.headers["Access-Control-Allow-Headers"] = REQUEST_HEADERS
                response.headers["Access-Control-Max-Age"] = str(MAX_AGE)
            else:
                response.headers["Access-Control-Expose-Headers"] = ANSWER_HEADERS
        return response
