"""A Flask application that guards its every address, as applications do: a sign-in page, CSRF tokens, a prefix.

The inbox is mounted at STRICT_PREFIX. ``asgi`` is the same for servers of ASGI.
"""

import os

import flask
from a2wsgi import WSGIMiddleware
from flask import Flask, Response, abort, redirect, request, session
from flask.typing import ResponseReturnValue
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from shirase.flask.app import create_blueprint
from shirase.settings import Settings

PREFIX = os.environ["STRICT_PREFIX"]
OPEN = (f"{PREFIX}/sign-in", f"{PREFIX}/")


def create_app() -> Flask:
    """The application."""
    app = Flask(__name__)
    app.secret_key = "only for this test"
    csrf = CSRFProtect(app)

    @app.before_request
    def guard() -> ResponseReturnValue | None:
        if request.path in OPEN or session.get("user"):
            flask.g.user = session.get("user")
            return None
        if "abort" in request.args:
            abort(401)
        if "page" in request.args:
            return "<!doctype html><title>Sign in</title>"
        return redirect(f"{request.script_root}{PREFIX}/sign-in")

    @app.get(f"{PREFIX}/")
    def home() -> str:
        return "home"

    @app.get(f"{PREFIX}/sign-in")
    def sign_in() -> Response:
        session["user"] = request.args["user"]
        return Response("signed in")

    blueprint = create_blueprint(Settings.from_env(os.environ, tokens=False), identify=lambda _: flask.g.user)
    app.register_blueprint(blueprint, url_prefix=f"{PREFIX}/inbox")
    csrf.exempt(blueprint)
    app.wsgi_app = ProxyFix(app.wsgi_app, x_prefix=1)  # type: ignore[method-assign]
    return app


wsgi = create_app()
asgi = WSGIMiddleware(wsgi)  # type: ignore[arg-type]
