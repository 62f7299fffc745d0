"""A ticket opens one stream of one user, once, on any worker, and nothing else."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from threading import Barrier
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import text
from werkzeug.test import TestResponse

from shirase.access import tickets, tokens
from shirase.access.tokens import ADMIN, LEEWAY, WRITE, Identity
from shirase.errors import Unauthenticated
from shirase.flask.app import create_app
from shirase.proxy import grip
from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from shirase.settings import Settings
from shirase.store.database import Database
from tests.support.event_stream import parse

STREAM, POLL, TICKETS = "/api/sse/notifications", "/api/notifications/poll", "/api/sse/tickets"
USER = "a, b; ü"

Ask = Callable[..., TestResponse]


@pytest.fixture
def ask(client: FlaskClient, settings: Settings) -> Ask:
    """Return a function that sends requests as the proxy does for a client."""
    claims = {"iss": "pushpin", "exp": int(time.time()) + 3600}
    signed = {"Grip-Sig": jwt.encode(claims, settings.pushpin_sig_key, algorithm="HS256")}

    def send(path: str, ticket: str, method: str = "GET", **headers: str) -> TestResponse:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.open(path, method=method, query_string={"ticket": ticket}, headers=signed | named)

    return send


@pytest.fixture
def get_ticket(client: FlaskClient, token: Callable[..., str]) -> Callable[..., str]:
    def get(user: str = USER, scope: str = "") -> str:
        answer = client.post(TICKETS, headers={"Authorization": f"Bearer {token(user, scope)}"})
        body: Any = answer.json
        assert (answer.status_code, body["expires_in"]) == (201, 60)
        assert answer.headers["Cache-Control"] == "no-store"
        return str(body["ticket"])

    return get


def test_a_ticket_opens_one_stream_or_one_poll_of_its_user_once(ask: Ask, get_ticket: Callable[..., str]) -> None:
    for path in (STREAM, POLL):
        ticket = get_ticket()
        first = ask(path, ticket)
        assert first.status_code == 200
        assert grip.user_channel(USER) in first.headers["Grip-Channel"]
        for other in (STREAM, POLL):
            again = ask(other, ticket)
            answer: Any = again.json
            assert (again.status_code, answer["detail"]) == (401, "the ticket was used before")
            assert again.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert parse(ask(STREAM, get_ticket()).text).events[0].json()["user_id"] == USER


def test_a_ticket_is_good_for_nothing_else(
    app: Flask, client: FlaskClient, ask: Ask, get_ticket: Callable[..., str]
) -> None:
    ticket = get_ticket(scope=f"{WRITE} {ADMIN}")
    tried = 0
    for endpoint in app.extensions["shirase.endpoints"]:
        if endpoint.operation.access in ("public", "operator") or endpoint.path in (STREAM, POLL):
            continue
        method, path = endpoint.method, endpoint.path.replace("<int:number>", "1").replace("<sealed>", ticket)
        tried += 1
        assert ask(path, ticket, method).status_code in (401, 403), (method, path)
        bearer = client.open(path, method=method, headers={"Authorization": f"Bearer {ticket}"})
        assert bearer.status_code in (401, 403), (method, path)
    assert tried > 8
    assert ask(STREAM, ticket).status_code == 200  # none of this used it up


def test_of_many_at_once_one_gets_the_stream(settings: Settings) -> None:
    """As with several workers and hosts: each with its own connections."""
    databases = [Database(settings.database_url) for _ in range(8)]
    ticket = tickets.issue(settings, Identity(USER))
    start = Barrier(len(databases))

    def redeem(own: Database) -> bool:
        start.wait()
        try:
            return tickets.redeem(own, settings, ticket).user_id == USER
        except Unauthenticated:
            return False

    with ThreadPoolExecutor(len(databases)) as pool:
        assert sorted(pool.map(redeem, databases)) == [False] * 7 + [True]
    for own in databases:
        own.close()


def test_a_ticket_expires_after_a_minute_or_with_its_token(
    settings: Settings, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    lasting = tickets.issue(settings, Identity(USER, expires_at=int(now) + 3600))
    ending = tickets.issue(settings, Identity(USER, expires_at=int(now) + 30))
    late = tickets.issue(settings, Identity(USER, expires_at=int(now) + 3600))
    monkeypatch.setattr("shirase.access.tickets.time.time", lambda: now + 30 + LEEWAY)
    assert tickets.redeem(database, settings, lasting).expires_at == int(now) + 3600
    with pytest.raises(Unauthenticated, match="token that the ticket was made with has expired"):
        tickets.redeem(database, settings, ending)
    monkeypatch.setattr("shirase.access.tickets.time.time", lambda: now + tickets.TTL + LEEWAY)
    with pytest.raises(Unauthenticated, match="the ticket has expired"):
        tickets.redeem(database, settings, late)


@pytest.mark.parametrize("end", [2**70, 10**300])
def test_a_token_that_ends_beyond_any_clock_gets_a_ticket(end: int, settings: Settings, database: Database) -> None:
    ticket = tickets.issue(settings, Identity(USER, expires_at=end))
    assert tickets.redeem(database, settings, ticket).user_id == USER


def test_a_ticket_carries_no_scope_and_the_tokens_end(settings: Settings, database: Database) -> None:
    ticket = tickets.issue(settings, Identity(USER, frozenset({ADMIN}), 2**33))
    assert tickets.redeem(database, settings, ticket) == Identity(USER, frozenset(), 2**33)


@pytest.mark.parametrize(
    "forge",
    [
        lambda _settings, ticket: ticket + "A",
        lambda _settings, ticket: "A" + ticket,
        lambda _settings, ticket: ticket.replace(".", "", 1),
        lambda _settings, _ticket: "\x00é",
        lambda _settings, _ticket: "." * 5000,
        lambda settings, ticket: tokens.seal(settings, "page", tokens.unseal(settings, "ticket", ticket) or {}),
        lambda settings, ticket: tokens.seal(
            replace(settings, pushpin_sig_key="x" * 32), "ticket", tokens.unseal(settings, "ticket", ticket) or {}
        ),
        lambda settings, _ticket: tokens.mint(settings, USER),
    ],
)
def test_a_forged_ticket_is_refused(
    ask: Ask, get_ticket: Callable[..., str], settings: Settings, forge: Callable[[Settings, str], str]
) -> None:
    answer = ask(STREAM, forge(settings, get_ticket()))
    body: Any = answer.json
    assert (answer.status_code, body["detail"]) == (401, "the ticket is not valid")


def test_a_poll_repeated_by_the_proxy_needs_no_second_ticket(ask: Ask, get_ticket: Callable[..., str]) -> None:
    ticket = get_ticket()
    held = ask(POLL, ticket).headers["Grip-Channel"].replace("; prev-id=", "; last-id=")
    assert ask(POLL, ticket, Grip_Last=held).headers["Grip-Hold"] == "response"
    # Not for another user's wait, nor without the proxy's signature.
    others = ask(POLL, get_ticket("another")).headers["Grip-Channel"].replace("; prev-id=", "; last-id=")
    assert ask(POLL, ticket, Grip_Last=others).status_code == 401
    assert ask(POLL, ticket, Grip_Last=held, Grip_Sig="x").status_code == 401


def test_what_comes_first_decides_and_leaves_the_ticket_as_it_is(
    ask: Ask, get_ticket: Callable[..., str], token: Callable[..., str]
) -> None:
    ticket = get_ticket()
    assert ask(STREAM, ticket, Authorization="Bearer x").status_code == 401
    mine = parse(ask(STREAM, ticket, Authorization=f"Bearer {token('mine')}").text)
    assert mine.events[0].json()["user_id"] == "mine"
    assert parse(ask(STREAM, ticket).text).events[0].json()["user_id"] == USER


def test_the_token_in_the_address_can_be_switched_off(settings: Settings, token: Callable[..., str]) -> None:
    app = create_app(replace(settings, auth_query_token=False))
    answer = app.test_client().get(STREAM, query_string={"token": token(USER)})
    body: Any = answer.json
    assert answer.status_code == 401
    assert "POST /api/sse/tickets" in body["detail"]
    document: Any = app.test_client().get("/api/openapi.json").json
    assert sorted(document["components"]["securitySchemes"]) == ["bearer", "ticket"]
    app.extensions["shirase"].database.close()


def test_a_ticket_that_cannot_be_checked_opens_nothing(settings: Settings) -> None:
    unreachable = replace(settings, database_url="postgresql://nobody@127.0.0.1:1/none")
    app = create_app(unreachable)
    answer = app.test_client().get(STREAM, query_string={"ticket": tickets.issue(unreachable, Identity(USER))})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_used_tickets_are_removed_after_their_expiry(settings: Settings, database: Database) -> None:
    for age in (0, 60, 200):
        ticket = tickets.issue(settings, Identity(USER))
        tickets.redeem(database, settings, ticket)
        with database.transaction() as db:
            then = datetime.now(UTC) - timedelta(seconds=age)
            value = tokens.unseal(settings, "ticket", ticket) or {}
            statement = text("UPDATE shirase_used_tickets SET used_at = :then WHERE id = :id")
            if db.dialect.name == "sqlite":
                db.execute(statement, {"then": then.strftime("%Y-%m-%dT%H:%M:%S.%fZ"), "id": value["id"]})
            else:
                db.execute(statement, {"then": then, "id": value["id"]})
    assert repair.keep_house(settings, database, Publisher(settings))
    with database.autocommit() as db:
        assert db.execute(text("SELECT count(*) FROM shirase_used_tickets")).scalar_one() == 2
