"""Cookies and CORS: what pages of this site, of listed origins and of all others may do."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shirase.access import tokens
from shirase.flask.app import create_app, create_blueprint
from shirase.settings import Settings

COOKIE = "__Host-session"
LISTED, OTHER = "https://app.example.com", "https://evil.example.com"
# Each has passed an inexact comparison somewhere.
NEARLY = (
    OTHER,
    "null",
    "*",
    "",
    "https://app.example.com.evil.com",
    "https://evilapp.example.com",
    "https://app.example.com:8443",
    "http://app.example.com",
    "https://APP.example.com",
    "https://app.example.com/",
    "https://app.example.com https://evil.example.com",
    "https://app-example.com",
)
COUNT, READ_ALL, STREAM = "/api/notifications/unread-count", "/api/notifications/read-all", "/api/sse/notifications"


@pytest.fixture
def settings(sqlite_url: str) -> Settings:
    """The database does not matter here."""
    return Settings(
        database_url=sqlite_url, grip_url=("http://127.0.0.1:1",), pushpin_sig_key="k" * 32, jwt_secret="j" * 32
    )


@pytest.fixture
def strict(settings: Settings) -> Settings:
    return replace(settings, auth_cookie=COOKIE, cors_origins=frozenset({LISTED, "http://localhost:5173"}))


@pytest.fixture
def app(strict: Settings) -> Iterator[Flask]:
    made = create_app(strict)
    yield made
    made.extensions["shirase"].database.close()


@pytest.fixture
def by_cookie(client: FlaskClient, strict: Settings) -> Callable[..., TestResponse]:
    """Return a function that sends requests with only a cookie, as a browser does for any page."""

    def ask(method: str, path: str, token: str | None = None, **headers: str) -> TestResponse:
        client.set_cookie(COOKIE, token or tokens.mint(strict, "42"))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.open(path, method=method, headers=named)

    return ask


Ask = Callable[..., TestResponse]


def test_a_cookie_identifies_the_caller_on_the_same_site(by_cookie: Ask) -> None:
    assert by_cookie("GET", COUNT).status_code == 200
    assert by_cookie("GET", COUNT, Sec_Fetch_Site="same-origin").status_code == 200
    assert by_cookie("POST", READ_ALL, Sec_Fetch_Site="same-origin").status_code == 200


def test_a_sibling_origin_changes_nothing_unless_listed(by_cookie: Ask) -> None:
    """To a browser, another subdomain or port is the same site, but it may belong to another party."""
    sibling = {"Origin": "https://blog.example.com", "Sec_Fetch_Site": "same-site"}
    assert by_cookie("POST", READ_ALL, **sibling).status_code == 403
    assert by_cookie("POST", READ_ALL, Sec_Fetch_Site="same-site").status_code == 403
    assert by_cookie("GET", COUNT, **sibling).status_code == 403
    assert by_cookie("GET", COUNT, Sec_Fetch_Site="same-site").status_code == 200
    assert by_cookie("POST", READ_ALL, **sibling | {"Origin": LISTED}).status_code == 200


def test_an_origin_that_is_not_listed_reads_nothing_by_cookie(by_cookie: Ask) -> None:
    """A WebSocket handshake is a GET with an Origin and, in Chromium, without Sec-Fetch-Site."""
    for origin in NEARLY:
        for path in (COUNT, STREAM, "/api/notifications/poll"):
            assert by_cookie("GET", path, Origin=origin).status_code == 403, origin
    assert by_cookie("GET", STREAM, Origin=LISTED).status_code == 501  # no proxy here
    assert by_cookie("GET", COUNT, Origin="https://localhost", Sec_Fetch_Site="same-origin").status_code == 200


@pytest.mark.parametrize(
    "handshake", [{"Upgrade": "WebSocket"}, {"Upgrade": "x, websocket"}, {"Sec_WebSocket_Key": "x"}]
)
def test_a_websocket_handshake_is_refused(by_cookie: Ask, handshake: dict[str, str]) -> None:
    for path in (COUNT, STREAM, "/api/notifications/poll", "/healthz"):
        assert by_cookie("GET", path, Connection="Upgrade", **handshake).status_code == 400


def test_a_listed_origin_may_change_something_by_cookie(by_cookie: Ask) -> None:
    answer = by_cookie("POST", READ_ALL, Origin=LISTED, Sec_Fetch_Site="cross-site")
    assert answer.status_code == 200
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"


@pytest.mark.parametrize("site", ["cross-site", "same-site", "none", "", "SAME-ORIGIN", "same-origin, cross-site"])
def test_another_page_changes_nothing_by_cookie(by_cookie: Ask, site: str) -> None:
    for origin in NEARLY:
        answer = by_cookie("POST", READ_ALL, Origin=origin, Sec_Fetch_Site=site)
        assert (answer.status_code, answer.content_type) == (403, "application/problem+json"), origin


def test_no_change_by_cookie_without_proof_of_the_site(by_cookie: Ask) -> None:
    assert by_cookie("POST", READ_ALL).status_code == 403
    assert by_cookie("DELETE", "/api/notifications/1").status_code == 403
    assert by_cookie("POST", "/api/sse/tickets").status_code == 403


def test_another_sites_page_opens_no_stream_of_the_user(by_cookie: Ask) -> None:
    assert by_cookie("GET", STREAM, Origin=OTHER, Sec_Fetch_Site="cross-site").status_code == 403
    assert by_cookie("GET", STREAM, Sec_Fetch_Site="cross-site").status_code == 403
    assert by_cookie("GET", STREAM, Origin=LISTED, Sec_Fetch_Site="cross-site").status_code == 501  # no proxy here


@pytest.mark.parametrize("path", [STREAM, "/api/notifications/poll"])
def test_a_sibling_origins_picture_opens_no_stream(path: str, by_cookie: Ask, settings: Settings) -> None:
    """It would take the place of one of the user's own. What opens a stream across origins names its ``Origin``."""
    picture = {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}
    assert by_cookie("GET", path, **picture).status_code == 403
    assert by_cookie("GET", path, Origin=LISTED, Sec_Fetch_Site="same-site").status_code == 501  # no proxy here
    assert by_cookie("GET", COUNT, **picture).status_code == 200
    host = Flask("host")
    host.register_blueprint(create_blueprint(settings, identify=lambda _: "42"))
    assert host.test_client().get(path, headers=picture).status_code == 403
    assert host.test_client().get(path, headers={"Sec-Fetch-Site": "same-origin"}).status_code == 501


def test_a_bad_cookie_is_refused_as_a_bad_token_is(by_cookie: Ask) -> None:
    answer = by_cookie("GET", COUNT, token="x.y.z")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')


def test_the_header_comes_before_the_cookie_and_needs_no_site(by_cookie: Ask, strict: Settings) -> None:
    bearer = f"Bearer {tokens.mint(strict, '7')}"
    assert by_cookie("POST", READ_ALL, Authorization=bearer, Origin=OTHER).status_code == 200
    assert by_cookie("GET", COUNT, Authorization="Bearer x").status_code == 401


def test_only_the_configured_cookie_carries_a_token(settings: Settings) -> None:
    for app in (create_app(settings), create_app(replace(settings, auth_cookie="other"))):
        client = app.test_client()
        client.set_cookie(COOKIE, tokens.mint(settings, "42"))
        answer = client.get(COUNT)
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        app.extensions["shirase"].database.close()


def test_a_hosts_sign_in_is_not_usable_by_other_sites(settings: Settings) -> None:
    app = Flask("host")
    blueprint = create_blueprint(replace(settings, cors_origins=frozenset({LISTED})), identify=lambda _: "42")
    app.register_blueprint(blueprint, url_prefix="/inbox")

    def ask(method: str, path: str, **headers: str) -> int:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return app.test_client().open(f"/inbox{path}", method=method, headers=named).status_code

    for method, path in (("POST", READ_ALL), ("GET", COUNT)):
        assert ask(method, path, Origin=OTHER, Sec_Fetch_Site="cross-site") == 403
        assert ask(method, path, Sec_Fetch_Site="cross-site") == 403
        assert ask(method, path, Origin=OTHER) == 403
        assert ask(method, path, Origin="null") == 403
        assert ask(method, path, Origin="http://blog.localhost", Sec_Fetch_Site="same-site") == 403
        assert ask(method, path, Origin=LISTED, Sec_Fetch_Site="cross-site") == 200
        assert ask(method, path, Origin="http://localhost") == 200
        assert ask(method, path, Sec_Fetch_Site="same-origin") == 200
        assert ask(method, path) == 200
    assert ask("POST", READ_ALL, Sec_Fetch_Site="same-site") == 403
    app.extensions["shirase"].database.close()


def answers(client: FlaskClient, strict: Settings, origin: str | None) -> list[TestResponse]:
    """Return one answer of each kind, including errors."""
    bearer = {"Authorization": f"Bearer {tokens.mint(strict, '42')}"}
    headers = {"Origin": origin} if origin is not None else {}
    return [
        client.get(COUNT, headers=headers | bearer),
        client.get(COUNT, headers=headers),
        client.post("/api/notifications", headers=headers | bearer, json={}),
        client.get("/api/notifications/1", headers=headers | bearer),
        client.get("/nothing", headers=headers),
        client.put(COUNT, headers=headers),
        client.get(STREAM, headers=headers | bearer),
        client.post("/api/notifications/read", headers=headers | bearer, data=b"{", content_type="application/json"),
        client.post("/api/notifications/read", headers=headers | bearer, data=b" " * (2**20 + 1)),
        client.options(COUNT, headers=headers | {"Access-Control-Request-Method": "GET"}),
        client.options(COUNT, headers=headers),
    ]


def test_every_answer_to_a_listed_origin_can_be_read_there(client: FlaskClient, strict: Settings) -> None:
    seen = answers(client, strict, LISTED)
    assert sorted({answer.status_code for answer in seen}) == [200, 204, 400, 401, 403, 404, 405, 415, 501]
    for answer in seen:
        assert answer.headers["Access-Control-Allow-Origin"] == LISTED
        assert answer.headers["Access-Control-Allow-Credentials"] == "true"
        assert answer.headers.get_all("Vary") == ["*"]
    exposed = seen[0].headers["Access-Control-Expose-Headers"]
    assert {"Retry-After", "Location", "Vary"} <= set(exposed.split(", "))


def test_a_crash_can_be_read_there_too(client: FlaskClient, strict: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shirase.inbox.inbox.unread_count", lambda *_: 1 / 0)
    answer = answers(client, strict, LISTED)[0]
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (500, LISTED)


def test_no_other_origin_is_named_or_reflected(client: FlaskClient, strict: Settings) -> None:
    for answer in (answer for origin in (*NEARLY, None) for answer in answers(client, strict, origin)):
        assert not [name for name in answer.headers.keys() if name.lower().startswith("access-control")]  # noqa: SIM118
        assert answer.headers.get_all("Vary") == ["*"]  # a cache must not return this to a listed page


def test_a_preflight_is_answered_for_a_while_and_needs_no_token(client: FlaskClient) -> None:
    asking = {
        "Origin": LISTED,
        "Access-Control-Request-Method": "DELETE",
        "Access-Control-Request-Headers": "authorization,last-event-id",
    }
    answer = client.options("/api/notifications/1", headers=asking)
    assert (answer.status_code, answer.data) == (204, b"")
    body = {
        name: {part.strip().lower() for part in answer.headers[f"Access-Control-Allow-{name}"].split(",")}
        for name in ("Methods", "Headers")
    }
    assert body["Methods"] == {"get", "post", "put", "delete"}
    assert body["Headers"] >= {"authorization", "content-type", "last-event-id", "idempotency-key"}
    assert int(answer.headers["Access-Control-Max-Age"]) > 0


def test_without_the_setting_there_is_no_cors_at_all(settings: Settings) -> None:
    app = create_app(settings)
    answer: Any = app.test_client().get("/healthz", headers={"Origin": LISTED})
    assert not [name for name in answer.headers.keys() if name.lower().startswith("access-control")]  # noqa: SIM118
    app.extensions["shirase"].database.close()
