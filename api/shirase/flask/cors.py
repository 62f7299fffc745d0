"""How Flask answers the pages of other origins."""

from flask import Blueprint, Flask, Response, request

from shirase.settings import Settings
from shirase.web import cors


def register(routes: Flask | Blueprint, settings: Settings) -> None:
    """Let the listed origins in; without any, browsers keep every other origin out by themselves."""
    if not settings.cors_origins:
        return

    @routes.before_request
    def answer_preflight() -> Response | None:
        """Answered before anything is asked of the caller: a preflight carries neither token nor cookie."""
        if cors.is_preflight(request.method, request.headers.get("Access-Control-Request-Method")):
            answer = Response(status=204)
            del answer.headers["Content-Type"]  # there is nothing to be of a type
            return answer
        return None

    @routes.after_request
    def allow(response: Response) -> Response:
        found = cors.headers(settings.cors_origins, request.headers.get("Origin"), request.method)
        response.vary.add(found.pop("Vary"))
        response.headers.update(found)
        return response
