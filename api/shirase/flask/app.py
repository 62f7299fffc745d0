"""The service as a Flask application, and its operations as a blueprint for other Flask applications."""

from flask import Blueprint, Flask, Response, current_app, g, request
from werkzeug.exceptions import HTTPException

from shirase import logs
from shirase.errors import ShiraseError
from shirase.flask import host, reader
from shirase.flask.adapter import mount, operation_at, read_request, response_of
from shirase.flask.demo import routes as demo
from shirase.inbox.services import wire
from shirase.settings import Settings
from shirase.web import http, problems
from shirase.web.auth import check_sign_in, with_topics
from shirase.web.call import Call, HostSignIn, HostTopics
from shirase.web.json_body import MAX_BODY
from shirase.web.openapi import document_of
from shirase.web.operations import FOR_HOSTS, FOR_TOKENS, SERVICE
from shirase.web.respond import finish


def create_app(settings: Settings) -> Flask:
    """Create the service's application, which is stateless between requests."""
    app = Flask(__name__, static_folder=None)
    app.extensions["shirase"] = wire(settings)
    endpoints = [*SERVICE, *document_of(SERVICE)]
    app.extensions["shirase.endpoints"] = endpoints
    mount(app, endpoints)
    _answer_the_rest(app)
    app.register_blueprint(reader.blueprint)
    if settings.demo:
        app.register_blueprint(demo.blueprint)
    return app


def create_blueprint(
    settings: Settings, *, identify: HostSignIn | None = None, topics: HostTopics | None = None
) -> Blueprint:
    """Create a blueprint of the users' operations for another application: stream, long poll and inbox.

    Mount it with ``app.register_blueprint(…, url_prefix="/inbox")``. Below the prefix all paths are those of the
    service, so clients work with the prefix as part of their base URL. Error handlers and body limits apply to these
    routes alone.

    Args:
        settings: the same as those of the proxy and the relay.
        identify: identifies a request's user by the application's sign-in; by default a token does, as at the service.
        topics: returns the topics of a request's user, besides those that the user is a member of.

    Raises:
        SettingsError: if neither ``identify`` nor a token could identify a user.
    """
    check_sign_in(settings, identify, topics)
    identify = with_topics(identify, topics) if identify else None
    made = Blueprint("shirase", __name__)
    wired = wire(settings)
    made.record_once(lambda state: state.app.extensions.update(shirase=wired))
    # Tickets are for callers with a token; browsers send the cookie of a sign-in to the stream by themselves.
    mount(made, FOR_HOSTS if identify else FOR_TOKENS, identify)
    made.url_value_preprocessor(host.answer_the_proxy_first)
    made.after_request(host.refuse_in_json)
    return made


def _answer_the_rest(app: Flask) -> None:
    """Give pages, their files and unknown paths the headers and errors of all other responses."""

    @app.after_request
    def end(response: Response) -> Response:
        if "X-Request-Id" not in response.headers:
            answer = http.Response(status=response.status_code, content_type=response.content_type)
            answer.headers.update(response.headers)
            finish(answer, _call(), (request.endpoint or "none").rpartition(".")[2])
            response.headers.update(answer.headers)
        return response

    def known(error: Exception) -> Response:
        return response_of(problems.answer(error, _call()))

    def refused(error: HTTPException) -> Response:
        """Convert errors that Flask raises itself: an unknown path, a method without a route."""
        answer = response_of(problems.problem(error.code or 500, error.description or error.name))
        for name, value in error.get_headers():
            if name.lower() not in ("content-type", "content-length"):
                answer.headers[name] = value
        return answer

    app.before_request(_begin)
    app.register_error_handler(ShiraseError, known)
    app.register_error_handler(HTTPException, refused)
    app.register_error_handler(Exception, known)
    app.teardown_request(lambda _: logs.clear())


def _begin() -> None:
    if not operation_at(request.endpoint):  # an operation does this by itself
        request.max_content_length = MAX_BODY
        logs.begin(_call().request_id)


def _call() -> Call:
    """The call of a request for a page or an unknown path."""
    if "call" not in g:
        g.call = Call(current_app.extensions["shirase"], read_request())
    call: Call = g.call
    return call
