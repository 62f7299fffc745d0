"""The application: settings in, a Flask application out."""

import secrets

from flask import Flask, Response, g

from api.routes import demo, health, notifications, openapi, problems, streams
from api.routes.operation import MAX_BODY
from api.services import wire
from api.settings import Settings


def create_app(settings: Settings) -> Flask:
    """An application that answers every request by itself and remembers nothing between two of them."""
    app = Flask(__name__, static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    app.extensions["shirase"] = wire(settings)
    app.before_request(_name_request)
    app.after_request(_say_request_name)
    problems.register(app)
    for routes in (streams, notifications, health, openapi):
        app.register_blueprint(routes.blueprint)
    if settings.demo:
        app.register_blueprint(demo.blueprint)
    return app


def _name_request() -> None:
    g.request_id = secrets.token_hex(8)


def _say_request_name(response: Response) -> Response:
    response.headers["X-Request-Id"] = g.request_id
    return response
