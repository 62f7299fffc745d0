"""The demo page and the tokens that it uses. Mounted only with ``--demo``."""

from pathlib import Path

from flask import Blueprint, Response, current_app, jsonify, request, send_from_directory
from pydantic import ValidationError

from shirase.access import tokens
from shirase.addresses import is_loopback_name, with_brackets
from shirase.errors import Forbidden, UnsupportedMedia
from shirase.flask.demo import mails, workers
from shirase.inbox.drafts import Request, UserIdField, invalid
from shirase.inbox.services import Services
from shirase.settings import Settings
from shirase.web.browser_headers import FRAMED_PAGE
from shirase.web.json_body import check_json

PAGE = Path(__file__).parent / "static"
TOKEN_TTL = 3600  # seconds
STATIC_MAX_AGE = 60  # seconds; after that the ETag saves the transfer

blueprint = Blueprint("demo", __name__)
blueprint.register_blueprint(workers.blueprint)
blueprint.register_blueprint(mails.blueprint)


class DemoUser(Request):
    """The user that the page chooses."""

    user_id: UserIdField


@blueprint.before_request
def admit() -> None:
    """Admit only pages that this machine itself serves.

    A page of any site can reach a local port if its host name resolves to 127.0.0.1 (DNS rebinding), and any form can
    post text. So the Host must name this machine, and a body must be JSON, for which another origin needs CORS.
    """
    host = with_brackets(request.environ.get("HTTP_HOST", ""))
    if not is_loopback_name(host):
        raise Forbidden("the demo is for this machine alone: open it as 127.0.0.1, [::1] or localhost")
    if request.method == "POST":
        settings: Settings = current_app.extensions["shirase"].settings
        if request.origin not in (None, f"{request.scheme}://{host}", *settings.cors_origins):
            raise Forbidden("this is for the demo's own page")
        if request.mimetype != "application/json":
            raise UnsupportedMedia("send the body as Content-Type: application/json")


@blueprint.get("/")
def page() -> Response:
    """The page. It is revalidated each time, so that it never loads scripts of another version."""
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
    """Sign a token for any user that the page names.

    Anyone who can reach this can act as anyone, which is safe in a demo only: it has its own key and disposable data.
    Without ``--demo`` this blueprint is not mounted, and users get their tokens from the host application.
    """
    raw = request.get_data()
    check_json(raw)
    try:
        user_id = DemoUser.model_validate_json(raw, strict=True).user_id
    except ValidationError as exc:
        raise invalid(exc) from exc
    wired: Services = current_app.extensions["shirase"]
    settings = wired.settings
    mails.prepare(wired, user_id)
    answer = {
        "token": tokens.mint(settings, user_id, scope=tokens.WRITE, ttl=TOKEN_TTL),
        "expires_in": TOKEN_TTL,
        "heartbeat": settings.sse_keepalive_timeout,  # so that the page detects a dead connection
    }
    return jsonify(answer)
