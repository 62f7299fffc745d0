"""Hostile headers, cookies, tokens and methods: refused or without effect, never a crash."""

from dataclasses import replace

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shirase.access import tokens
from shirase.flask.app import create_app
from shirase.proxy import grip
from shirase.settings import Settings
from tests.attack.conftest import Headers, check
from tests.attack.hostile import HEADERS, TEXTS

STREAM, POLL, NEXT = "/api/sse/notifications", "/api/notifications/poll", "/api/sse/next"

many = hypothesis_settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
latin = st.text(st.characters(codec="latin-1", exclude_categories=["Cc"]), max_size=200)


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Nothing here depends on the database."""
    return sqlite_url


@many
@given(cursor=latin)
def test_no_cursor_injects_an_instruction_for_the_proxy(client: FlaskClient, headers: Headers, cursor: str) -> None:
    assert check(client.get(STREAM, headers=headers("42") | {"Last-Event-ID": cursor})).status_code == 200


@many
@given(user=st.text(st.characters(codec="utf-8"), min_size=1, max_size=255))
def test_no_id_injects_an_instruction_for_the_proxy(client: FlaskClient, headers: Headers, user: str) -> None:
    for path in (STREAM, POLL):
        answer = check(client.get(path, headers=headers(user)))
        if tokens.is_user_id(user):
            channels = answer.headers["Grip-Channel"].split(", ")
            assert len(channels) == (2 if path == STREAM else 3)  # a poll also has one that seals what it waits for
            assert channels[0].partition(";")[0] == grip.user_channel(user)
        else:
            assert answer.status_code == 401


@pytest.mark.parametrize("name", ["Grip-Last", "Grip-Sig", "Grip-Feature", "Authorization", "Cookie", "Origin", "Host"])
def test_hostile_headers_are_refused_or_without_effect(client: FlaskClient, headers: Headers, name: str) -> None:
    plain = check(client.get("/api/notifications", headers=headers("42")))
    for sent in HEADERS:
        answer = check(client.get("/api/notifications", headers=headers("42") | {name: sent}))
        if name == "Authorization":
            assert answer.status_code == 401
        elif answer.status_code != 400 or name != "Host":
            assert (answer.status_code, answer.data) == (200, plain.data)
        for path in (NEXT, f"{NEXT}/x"):
            assert check(client.get(path, headers={name: sent})).status_code in (400, 403)


@many
@given(last=latin)
def test_no_grip_last_recovers_but_one_of_ours(
    client: FlaskClient, headers: Headers, unlimited: Settings, last: str
) -> None:
    assert check(client.get(NEXT, headers={**headers("42"), "Grip-Last": last})).status_code in (200, 403)
    if grip.parse_last(last, grip.sealing_keys(unlimited)) is None:
        assert check(client.get(NEXT, headers={**headers("42"), "Grip-Last": last})).status_code == 403


def test_hostile_cookies_are_refused(unlimited: Settings) -> None:
    app = create_app(replace(unlimited, auth_cookie="session"))
    client = app.test_client()
    for sent in (*HEADERS, "session=", "session=x; session=y", "session=" + "A" * 4000, 'session="', "$Version=1"):
        answer = check(client.get("/api/notifications", headers={"Cookie": f"session={sent}; {sent}"}))
        assert answer.status_code == 401
    app.extensions["shirase"].database.close()


@pytest.mark.parametrize("parameter", ["token", "ticket"])
def test_hostile_tokens_and_tickets_are_refused(client: FlaskClient, headers: Headers, parameter: str) -> None:
    signed = {"Grip-Sig": headers("42")["Grip-Sig"]}
    for sent in TEXTS:
        answer = client.get(STREAM, query_string={parameter: sent.encode(errors="replace")}, headers=signed)
        assert check(answer).status_code == 401
        assert len(sent) < 4 or sent not in answer.get_data(as_text=True)  # none of it is echoed


def test_other_methods_and_their_disguises_change_nothing(app: Flask, client: FlaskClient, headers: Headers) -> None:
    """Neither undeclared methods nor headers that override the method in other frameworks."""
    disguises = {"X-HTTP-Method-Override": "DELETE", "X-HTTP-Method": "DELETE", "X-Method-Override": "DELETE"}
    for rule in app.url_map.iter_rules():
        path = rule.rule.replace("<int:number>", "1").replace("<sealed>", "x").replace("<path:name>", "x")
        path = path.replace("<path:filename>", "x")
        for method in ("PUT", "PATCH", "TRACE", "CONNECT", "PROPFIND", "X"):
            if method in (rule.methods or ()):
                continue
            answer = client.open(path, method=method, headers=headers("42") | disguises)
            assert answer.status_code in (404, 405), (method, path)
