"""The application: settings in, a Flask application out. Or its routes, for another Flask application to mount."""

import logging
import secrets
import time

from flask import Blueprint, Flask, Response, g, request
from flask.blueprints import BlueprintSetupState

from shirase import logs, metrics
from shirase.flask import browser_headers, cors, openapi, problems
from shirase.flask.auth import HostSignIn
from shirase.flask.demo import routes as demo
from shirase.flask.operation import HOST_SIGN_IN
from shirase.flask.routes import connections, health, notifications, streams, tickets
from shirase.inbox.services import wire
from shirase.settings import Settings
from shirase.web.json_body import MAX_BODY

log = logging.getLogger(__name__)

PROBES = ("healthz", "readyz", "metrics")  # asked for all the time, by machines


def create_app(settings: Settings) -> Flask:
    """An application that answers every request by itself and remembers nothing between two of them."""
    app = Flask(__name__, static_folder=None)
    app.extensions["shirase"] = wire(settings)
    _prepare(app, settings)
    for routes in (streams, connections, tickets, notifications, health, openapi):
        app.register_blueprint(routes.blueprint)
    if settings.demo:
        app.register_blueprint(demo.blueprint)
    return app


def create_blueprint(settings: Settings, *, identify: HostSignIn | None = None) -> Blueprint:
    """What users ask of the service, as a part of another application: the stream, the long poll and the inbox.

    Mount it with ``app.register_blueprint(…, url_prefix="/inbox")``: below the prefix all paths are those of the
    service, so a client that is given the prefix as part of its address works as with the service itself.
    Errors are answered, and bodies limited, for these routes alone; those of the application stay as they are.

    Args:
        settings: the same as those of the proxy and the relay.
        identify: who a request is from, by the application's own sign-in; without it, by a token as the service does.
    """
    made = Blueprint("shirase", __name__)
    wired = wire(settings)
    _prepare(made, settings)
    # Tickets are for who has a token; a sign-in by cookie reaches the stream by itself.
    for routes in (streams, connections, notifications) if identify else (streams, connections, tickets, notifications):
        made.register_blueprint(routes.blueprint)

    @made.record_once
    def place(state: BlueprintSetupState) -> None:
        state.app.extensions["shirase"] = wired
        if identify:
            state.app.extensions[HOST_SIGN_IN] = identify

    return made


def _prepare(routes: Flask | Blueprint, settings: Settings) -> None:
    """What surrounds every request."""
    routes.before_request(_begin)
    routes.after_request(_end)
    routes.teardown_request(lambda _: logs.clear())
    problems.register(routes)
    cors.register(routes, settings)
    browser_headers.register(routes)


def _begin() -> None:
    request.max_content_length = MAX_BODY
    g.request_id = secrets.token_hex(8)
    logs.begin(g.request_id)
    g.started = time.perf_counter()


def _end(response: Response) -> Response:
    if "request_id" in g:  # an application that mounted us may have answered before we were asked
        response.headers["X-Request-Id"] = g.request_id
        operation = (request.endpoint or "none").rpartition(".")[2]  # a path that does not exist has none
        metrics.REQUESTS.labels(operation, response.status_code).inc()
        seconds = time.perf_counter() - g.started
        metrics.REQUEST_SECONDS.labels(operation).observe(seconds)
        # By its name alone: its path and its query may hold what no log should.
        level = logging.DEBUG if operation in PROBES else logging.INFO
        log.log(level, "%s %s %d in %.1f ms", request.method, operation, response.status_code, seconds * 1000)
    return response
