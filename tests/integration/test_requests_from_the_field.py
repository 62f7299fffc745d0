"""What libraries, proxies and trackers add to requests is ignored, and what they need is allowed."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient

from shirase.flask.app import create_app
from shirase.inbox import cursors
from shirase.settings import Settings
from shirase.store.database import Database
from shirase.types import START, EventId

STREAM, POLL, LIST = "/api/sse/notifications", "/api/notifications/poll", "/api/notifications"
BASIC = "Basic c3RhZ2luZzpwdw=="
LISTED = "https://app.example.com"
Token = Callable[..., str]


@pytest.mark.parametrize("query", ["_=1700000000000", "cb=1&timestamp=2", "_=", "__cf=1", "nocache=1"])
@pytest.mark.parametrize("path", [STREAM, POLL, LIST, "/api/notifications/unread-count", "/api/sse/status"])
def test_what_keeps_caches_off_is_ignored(
    client: FlaskClient, token: Token, signed: dict[str, str], path: str, query: str
) -> None:
    answer = client.get(f"{path}?{query}", headers={**signed, "Authorization": f"Bearer {token('42')}"})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("path", [STREAM, POLL])
def test_a_stream_ignores_every_unknown_parameter(
    client: FlaskClient, token: Token, signed: dict[str, str], path: str
) -> None:
    headers = {**signed, "Authorization": f"Bearer {token('42')}"}
    assert client.get(f"{path}?utm_source=x&fields%5B%5D=a&r", headers=headers).status_code == 200


@pytest.mark.parametrize("name", ["lastEventId", "last_event_id"])
def test_polyfills_name_the_cursor_in_the_address(
    client: FlaskClient, database: Database, token: Token, signed: dict[str, str], name: str
) -> None:
    headers = {**signed, "Authorization": f"Bearer {token('42')}"}
    cursor = cursors.encode(database.name, "42", EventId(7, "0a1b2c"))  # beyond this log's head
    assert "event: reset" in client.get(f"{STREAM}?{name}={cursor}&_=1", headers=headers).text
    assert "event: reset" not in client.get(f"{STREAM}?{name}=&_=1", headers=headers).text
    both = client.get(
        f"{STREAM}?{name}={cursor}", headers={**headers, "Last-Event-ID": cursors.encode(database.name, "42", START)}
    )
    assert "event: reset" not in both.text


@pytest.mark.parametrize("scheme", [BASIC, "Negotiate abc", "Digest username=x", "Basic", "Bearer", "Bearer "])
def test_another_auth_scheme_is_ignored_beside_a_credential(
    client: FlaskClient, token: Token, signed: dict[str, str], scheme: str
) -> None:
    headers = {**signed, "Authorization": scheme}
    assert client.get(f"{STREAM}?token={token('42')}", headers=headers).status_code == 200
    assert client.get(f"{STREAM}?token=x", headers=headers).status_code == 401
    assert client.get(STREAM, headers=headers).status_code == 401
    refused = client.get(LIST, headers=headers)
    assert (refused.status_code, refused.headers["WWW-Authenticate"]) == (401, 'Bearer error="invalid_token"')


def test_another_scheme_is_passed_over_where_a_cookie_is(settings: Settings, token: Token) -> None:
    app = create_app(replace(settings, auth_cookie="session"))
    client = app.test_client()
    client.set_cookie("session", token("42"))
    assert client.get(LIST, headers={"Authorization": BASIC}).status_code == 200
    assert (
        client.post(f"{LIST}/read-all", headers={"Authorization": BASIC}).status_code == 403
    )  # the site check still applies
    app.extensions["shirase"].database.close()


@pytest.fixture
def open_to_listed(settings: Settings) -> Iterator[Flask]:
    app = create_app(replace(settings, cors_origins=frozenset({LISTED}), cors_headers=frozenset({"X-Own-Trace"})))
    yield app
    app.extensions["shirase"].database.close()


@pytest.mark.parametrize(
    "asked",
    [
        "authorization,baggage,sentry-trace,traceparent",
        "authorization,traceparent,tracestate",
        "b3,x-b3-traceid,x-b3-spanid,x-b3-parentspanid,x-b3-sampled",
        "x-datadog-trace-id,x-datadog-parent-id,x-datadog-origin,x-datadog-sampling-priority",
        "newrelic,traceparent,tracestate",
        "authorization,cache-control,last-event-id",
        "content-type,x-requested-with,idempotency-key",
        "x-own-trace",
    ],
)
def test_a_preflight_allows_what_tracers_and_polyfills_send(open_to_listed: Flask, asked: str) -> None:
    headers = {"Origin": LISTED, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": asked}
    answer = open_to_listed.test_client().options(LIST, headers=headers)
    allowed = {name.strip().lower() for name in answer.headers["Access-Control-Allow-Headers"].split(",")}
    assert set(asked.split(",")) <= allowed


def test_a_stream_is_not_to_be_transformed_on_its_way(
    client: FlaskClient, token: Token, signed: dict[str, str]
) -> None:
    answer = client.get(STREAM, headers={**signed, "Authorization": f"Bearer {token('42')}"})
    assert set(answer.headers["Cache-Control"].split(", ")) == {"no-store", "no-transform"}
