"""The routes inside another Flask application: under its prefix and sign-in, without changing it."""

import secrets
import time
from collections.abc import Iterator

import jwt
import pytest
from flask import Flask, Request, abort, request
from flask.testing import FlaskClient

from shirase.access.tokens import WRITE, Identity
from shirase.flask.app import create_blueprint
from shirase.settings import Settings
from shirase.web.json_body import MAX_BODY

PREFIX = "/inbox"
NOTIFICATIONS = f"{PREFIX}/api/notifications"
STREAM = f"{PREFIX}/api/sse/notifications"


def who(asked: Request) -> Identity | str | int | None:
    """Identify by a header, which selects the form of the returned identity."""
    name = asked.headers.get("X-User", "")
    if name == "producer":
        return Identity("producer", frozenset({WRITE}))
    if name == "forbidden":
        abort(403, "this account is closed")
    if name == "broken":
        return 1.5  # type: ignore[return-value]
    return int(name) if name.isdecimal() else name or None


@pytest.fixture
def host(settings: Settings) -> Iterator[Flask]:
    app = Flask("host")

    @app.get("/crash")
    def crash() -> str:
        raise ZeroDivisionError

    @app.post("/upload")
    def upload() -> str:
        return str(len(request.get_data()))

    @app.errorhandler(404)
    def not_found(_: Exception) -> tuple[str, int]:
        return "the host's own page", 404

    app.register_blueprint(create_blueprint(settings, identify=who), url_prefix=PREFIX)
    yield app
    app.extensions["shirase"].database.close()


@pytest.fixture
def client(host: Flask) -> FlaskClient:
    return host.test_client()


def signed(settings: Settings) -> dict[str, str]:
    """Return the headers that the proxy adds to a request."""
    claims = {"iss": "pushpin", "exp": int(time.time()) + 3600}
    return {"Grip-Sig": jwt.encode(claims, settings.pushpin_sig_key)}


def create(client: FlaskClient, user: str, title: str = "t") -> None:
    body = {"user_id": user, "type": "t", "title": title, "message": ""}
    answer = client.post(NOTIFICATIONS, json=body, headers={"X-User": "producer"})
    assert answer.status_code == 201, answer.text
    assert answer.headers["Location"].startswith(f"{NOTIFICATIONS}/")
    assert client.get(answer.headers["Location"], headers={"X-User": user}).json["title"] == title  # type: ignore[index]


def test_the_host_identifies_the_caller(client: FlaskClient) -> None:
    create(client, "aiko")
    create(client, "42")

    assert client.get(NOTIFICATIONS, headers={"X-User": "aiko"}).json["unread_count"] == 1  # type: ignore[index]
    assert client.get(NOTIFICATIONS, headers={"X-User": "42"}).json["unread_count"] == 1  # type: ignore[index]
    assert client.get(NOTIFICATIONS, headers={"X-User": "bo"}).json["unread_count"] == 0  # type: ignore[index]


@pytest.mark.parametrize(("user", "status"), [("", 401), ("forbidden", 403), ("broken", 500), ("\x85", 500)])
def test_callers_that_the_host_does_not_name_are_refused(client: FlaskClient, user: str, status: int) -> None:
    answer = client.get(NOTIFICATIONS, headers={"X-User": user})
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")


def test_a_user_of_the_host_creates_nothing_without_the_scope(client: FlaskClient) -> None:
    body = {"user_id": "bo", "type": "t", "title": "t", "message": ""}
    assert client.post(NOTIFICATIONS, json=body, headers={"X-User": "aiko"}).status_code == 403


def test_the_links_for_the_proxy_follow_the_prefix(client: FlaskClient, settings: Settings) -> None:
    headers = {**signed(settings), "X-User": "aiko"}
    opened = client.get(STREAM, headers=headers)
    assert opened.headers["Grip-Link"].startswith(f"<{PREFIX}/api/sse/next>;")

    for number in range(settings.sse_queue_size + 1):
        create(client, "aiko", str(number))
    cursor = opened.text.partition("\nid: ")[2].partition("\n")[0]
    paged = client.get(f"{STREAM}?last_event_id={cursor}", headers=headers)
    link = paged.headers["Grip-Link"].partition(">")[0].removeprefix("<")
    assert link.startswith(f"{PREFIX}/api/sse/next/")
    rest = client.get(link, headers=signed(settings))
    assert rest.headers["Grip-Link"].startswith(f"<{PREFIX}/api/sse/next>;")
    last = {"Grip-Last": rest.headers["Grip-Channel"].replace("prev-id=", "last-id=")}
    assert client.get(f"{PREFIX}/api/sse/next", headers={**signed(settings), **last}).status_code == 200


def test_errors_of_the_host_stay_its_own(client: FlaskClient) -> None:
    missing = client.get("/nowhere")
    assert (missing.status_code, missing.text) == (404, "the host's own page")
    assert "X-Request-Id" not in missing.headers
    client.application.config["PROPAGATE_EXCEPTIONS"] = False
    crashed = client.get("/crash")
    assert (crashed.status_code, crashed.mimetype) == (500, "text/html")


def test_the_limit_of_a_body_is_for_our_routes_alone(client: FlaskClient) -> None:
    big = b"x" * (MAX_BODY + 1)
    assert client.post("/upload", data=big).text == str(len(big))
    headers = {"X-User": "producer", "Content-Type": "application/json"}
    assert client.post(NOTIFICATIONS, data=big, headers=headers).status_code == 413


def test_a_host_that_answers_first_is_not_disturbed(host: Flask) -> None:
    @host.before_request
    def closed() -> tuple[str, int]:
        return "closed for maintenance", 503

    answer = host.test_client().get(NOTIFICATIONS)
    assert (answer.status_code, answer.text) == (503, "closed for maintenance")


def test_without_a_sign_in_of_the_hosts_tokens_count(settings: Settings) -> None:
    app = Flask("host")
    app.register_blueprint(create_blueprint(settings), url_prefix=f"/{secrets.token_hex(4)}")
    rule = next(rule.rule for rule in app.url_map.iter_rules() if rule.rule.endswith("/unread-count"))
    claims = {"sub": "aiko", "exp": int(time.time()) + 60}
    token = jwt.encode(claims, settings.jwt_secret, algorithm="HS256")
    client = app.test_client()
    assert client.get(rule).status_code == 401
    assert client.get(rule, headers={"Authorization": f"Bearer {token}"}).json == {"unread_count": 0}
    app.extensions["shirase"].database.close()
