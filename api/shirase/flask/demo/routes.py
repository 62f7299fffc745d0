"""The demo page and the tokens that it uses. Mounted only with ``--demo``."""

from pathlib import Path

import orjson
from flask import Blueprint, Response, current_app, jsonify, request, send_from_directory

from shirase.access import tokens
from shirase.errors import FieldError, Invalid, Malformed
from shirase.flask.demo import workers
from shirase.settings import Settings
from shirase.web.browser_headers import FRAMED_PAGE

PAGE = Path(__file__).parent / "static"
TOKEN_TTL = 3600  # seconds
STATIC_MAX_AGE = 60  # seconds; after that the ETag saves the transfer

blueprint = Blueprint("demo", __name__)
blueprint.register_blueprint(workers.blueprint)


@blueprint.get("/")
def page() -> Response:
    """The page itself, asked for anew each time so that it never meets scripts of another version."""
    return send_from_directory(PAGE, "index.html", max_age=0)


@blueprint.get("/demo/<path:filename>")
def asset(filename: str) -> Response:
    """A script, style or picture of the page."""
    return send_from_directory(PAGE, filename, max_age=STATIC_MAX_AGE)


@blueprint.get("/demo/tab.html")
def tab() -> Response:
    """One tab of ten, in a frame of the page."""
    response = send_from_directory(PAGE, "tab.html", max_age=0)
    response.headers["Content-Security-Policy"] = FRAMED_PAGE
    return response


@blueprint.post("/demo/token")
def token() -> Response:
    """A token for whichever user the page wants to be.

    Whoever can reach this can be anyone: the point of a demo, and safe there alone, with a key of its own and
    over data that nobody relies on. Without ``--demo`` this blueprint is not mounted, and users get their
    tokens from the host application, which knows who they are.
    """
    user_id = _user_id(request.get_data())
    settings: Settings = current_app.extensions["shirase"].settings
    answer = {
        "token": tokens.mint(settings, user_id, scope=tokens.WRITE, ttl=TOKEN_TTL),
        "expires_in": TOKEN_TTL,
        "heartbeat": settings.sse_keepalive_timeout,  # so that the page notices a dead connection
    }
    return jsonify(answer)


def _user_id(body: bytes) -> str:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        raise Malformed(f"the body is not JSON: {exc}") from exc
    user_id = content.get("user_id") if isinstance(content, dict) else None
    if not isinstance(user_id, str):
        raise Invalid(FieldError("user_id", "must be text"))
    tokens.check_user_id(user_id)
    return user_id
