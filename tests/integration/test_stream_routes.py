"""The stream, its recovery and the long poll over HTTP: access, and instructions for the proxy."""

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import jwt
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from shirase.access import tokens
from shirase.flask.app import create_app
from shirase.inbox import connections, notifications, streams
from shirase.proxy import grip, seals
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store.database import Database
from shirase.types import START, Draft, EventId
from tests.support.content import content
from tests.support.event_ids import cursor, event_id
from tests.support.event_stream import parse

USER = "a, b; c"
STREAM = "/api/sse/notifications"
POLL = "/api/notifications/poll"
OTHER_KEY = "o" * 32

Ask = Callable[..., TestResponse]


def signature(key: str, issuer: str | None = "pushpin", lifetime: int = 3600) -> str:
    claims: dict[str, Any] = {"exp": int(time.time()) + lifetime} | ({"iss": issuer} if issuer else {})
    return jwt.encode(claims, key, algorithm="HS256")


def connection_of(settings: Settings, user: str = USER) -> str:
    return seals.connection_id(grip.sealing_keys(settings)[0], user, "0123456789abcdef-0")


def last(settings: Settings, event: EventId, user: str = USER) -> str:
    """Return the Grip-Last of a stream that the proxy holds."""
    channel = grip.connection_channel(connection_of(settings, user))
    return f"{grip.user_channel(user)}; last-id={event},{channel}; last-id=0"


@pytest.fixture
def ask(client: FlaskClient, settings: Settings) -> Ask:
    """Return a function that sends requests as the proxy does for a client."""

    def send(path: str, query: dict[str, str] | None = None, **headers: str) -> TestResponse:
        signed = {"Grip-Sig": signature(settings.pushpin_sig_key)}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.get(path, query_string=query, headers=signed | named)

    return send


@pytest.fixture
def bearer(token: Callable[..., str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(USER)}"}


@pytest.fixture
def three(database: Database, settings: Settings) -> list[str]:
    """Create three notifications; return the cursors from 0 to 3."""
    drafts = [Draft(USER, content("a.b", f"T{number}", "")) for number in (1, 2, 3)]
    notifications.create(database, Publisher(settings), drafts, answer=lambda _: "")
    return [cursor(database, USER, seq) for seq in range(4)]


def titles(answer: TestResponse) -> list[str]:
    return [event.json()["title"] for event in parse(answer.text).events if event.event == "notification"]


def test_a_stream_is_a_hold_that_nobody_caches_or_buffers(ask: Ask, bearer: dict[str, str], three: list[str]) -> None:
    answer = ask(STREAM, **bearer)
    assert (answer.status_code, answer.mimetype) == (200, "text/event-stream")
    assert (answer.headers["Cache-Control"], answer.headers["X-Accel-Buffering"]) == ("no-store, no-transform", "no")
    assert (answer.headers["Grip-Hold"], parse(answer.text).last_event_id) == ("stream", three[3])
    assert "Set-Cookie" not in answer.headers


def test_streams_and_long_polls_take_the_token_from_the_query(ask: Ask, token: Callable[..., str]) -> None:
    for path in (STREAM, POLL):
        assert ask(path, {"token": token(USER)}).status_code == 200
        assert ask(path, {"token": token(USER) + "x"}).status_code == 401
        assert ask(path).status_code == 401
        # The header takes precedence, so that a second token does not rescue an invalid one.
        assert ask(path, {"token": token(USER)}, Authorization="Bearer x").status_code == 401
        assert ask(path, Authorization="Basic YTpi").status_code == 401


@pytest.mark.parametrize("method", ["HEAD", "POST", "head", "X"])
def test_what_is_held_is_for_get_alone(
    client: FlaskClient, ask: Ask, bearer: dict[str, str], settings: Settings, method: str
) -> None:
    """A held response to HEAD would put a user's events in front of the next response on the connection."""
    sent = bearer | {"Grip-Sig": signature(settings.pushpin_sig_key), "Grip-Last": last(settings, EventId(1, "0a1b2c"))}
    page = tokens.seal(settings, streams.PAGE, {"user": USER})
    for path in (STREAM, POLL, streams.NEXT_PATH, f"{streams.NEXT_PATH}/{page}"):
        answer = client.open(path, method=method, headers=sent)
        assert (answer.status_code, "GET" in answer.headers["Allow"]) == (405, True), path
        assert not [name for name in answer.headers.keys() if name.lower().startswith("grip")], path  # noqa: SIM118
    assert ask("/api/sse/status", **bearer).json["user_connections"] == 0  # type: ignore[index]


def test_streams_that_missed_nothing_are_held_on_together(
    client: FlaskClient, ask: Ask, database: Database, settings: Settings
) -> None:
    opened, publisher = {}, Publisher(settings)
    for user in ("calm", "behind", "ended", "foreign"):
        answer = ask(STREAM, Authorization=f"Bearer {tokens.mint(settings, user)}")
        opened[user] = last_of(answer)
    notifications.create(database, publisher, [Draft("behind", content())], answer=lambda _: "")
    connections.revoke(database, publisher, "ended")
    opened["foreign"] = opened["foreign"].replace(grip.user_channel("foreign"), grip.user_channel("calm"))
    unknown = last(settings, START, "unknown")
    sent = [*opened.values(), unknown, "x"]
    signed = {"Grip-Sig": signature(settings.pushpin_sig_key), "Grip-Last": sent[0]}
    holds = client.post(streams.HOLDS_PATH, json={"last": sent}, headers=signed).json["holds"]  # type: ignore[index]
    assert [hold is not None for hold in holds] == [True, False, False, False, False, False]
    assert holds[0] == {
        name: value for name, value in ask(streams.NEXT_PATH, Grip_Last=sent[0]).headers if "Grip" in name
    }


def test_holds_are_for_the_proxy_alone(client: FlaskClient, settings: Settings) -> None:
    sealed, ours = last(settings, START), signature(settings.pushpin_sig_key)
    forged = {"Grip-Sig": ours, "Grip-Last": sealed.replace(grip.user_channel(USER), grip.user_channel("another"))}
    for sent in ({}, {"Grip-Sig": signature(OTHER_KEY), "Grip-Last": sealed}, {"Grip-Sig": ours}, forged):
        answer = client.post(streams.HOLDS_PATH, json={"last": [sealed]}, headers=sent)
        assert answer.status_code == 403


def last_of(answer: TestResponse) -> str:
    """Return the Grip-Last with which the proxy recovers this stream."""
    return answer.headers["Grip-Channel"].replace("prev-id", "last-id")


def test_operators_pages_are_not_for_whom_the_proxy_sends(client: FlaskClient, ask: Ask) -> None:
    """Whatever the path was when the proxy chose its route."""
    for path in ("/metrics", "/readyz"):
        assert client.get(path).status_code in (200, 503)
        for signed in ({}, {"Grip_Sig": "x"}, {"Grip_Sig": ""}):
            assert ask(path, **signed).status_code == 404


def test_the_cursor_of_the_header_precedes_that_of_the_query(
    ask: Ask, bearer: dict[str, str], three: list[str]
) -> None:
    assert titles(ask(STREAM, **bearer)) == []
    assert titles(ask(STREAM, **bearer, Last_Event_ID=three[1])) == ["T2", "T3"]
    assert titles(ask(STREAM, {"last_event_id": three[2]}, **bearer)) == ["T3"]
    assert titles(ask(STREAM, {"last_event_id": three[0]}, **bearer, Last_Event_ID=three[2])) == ["T3"]
    assert ask(STREAM, {"last_event_id": "x" * 1025}, **bearer).status_code == 422


@pytest.mark.parametrize(
    "forged",
    [
        lambda _: "",
        lambda _: "x",
        lambda _: signature(OTHER_KEY),
        lambda key: signature(key, issuer="another"),
        lambda key: signature(key, issuer=None),
        lambda key: signature(key, lifetime=-60),
        lambda _: jwt.encode({"iss": "pushpin", "exp": int(time.time()) + 60}, "", algorithm="none"),
    ],
)
def test_streams_and_recoveries_need_the_proxys_signature(
    ask: Ask, bearer: dict[str, str], settings: Settings, three: list[str], forged: Callable[[str], str]
) -> None:
    sent = forged(settings.pushpin_sig_key)
    for path in (STREAM, POLL):
        refused = ask(path, **bearer, Grip_Sig=sent)
        assert refused.status_code == 501
        assert "7999" in refused.text
    recovery = ask(streams.NEXT_PATH, Grip_Sig=sent, Grip_Last=last(settings, EventId(1, "0a1b2c")))
    assert (recovery.status_code, titles(recovery)) == (403, [])
    assert three


def test_a_node_may_have_a_key_and_an_issuer_of_its_own(settings: Settings, token: Callable[..., str]) -> None:
    node = f"http://127.0.0.1:1/?verify-iss=mine&verify-key={OTHER_KEY}"
    app = create_app(replace(settings, grip_url=(node,)))
    expected = {signature(OTHER_KEY, "mine"): 200, signature(OTHER_KEY): 501, signature(settings.pushpin_sig_key): 200}
    for sent, status in expected.items():
        query = {"token": token(USER)}
        assert app.test_client().get(STREAM, query_string=query, headers={"Grip-Sig": sent}).status_code == status
    app.extensions["shirase"].database.close()


def test_a_recovery_belongs_to_the_user_of_its_grip_last(
    ask: Ask, settings: Settings, database: Database, three: list[str]
) -> None:
    answer = ask(streams.NEXT_PATH, Grip_Last=last(settings, event_id(database, USER, 1)))
    assert (answer.status_code, answer.mimetype, answer.headers["Cache-Control"]) == (
        200,
        "text/event-stream",
        "no-store, no-transform",
    )
    assert [event.id for event in parse(answer.text).events] == three[2:]
    assert (
        answer.headers["Grip-Channel"]
        == f"{grip.user_channel(USER)}; prev-id={event_id(database, USER, 3)}, c-{connection_of(settings)}; prev-id=0"
    )
    other = ask(streams.NEXT_PATH, Grip_Last=last(settings, START, user="another"))
    assert (other.status_code, other.text) == (200, "")


@pytest.mark.parametrize("sent", [{}, {"Grip_Last": ""}, {"Grip_Last": "u-YQ; last-id=1"}, {"Grip_Last": "x, y"}])
def test_a_recovery_without_a_whole_grip_last_is_refused(ask: Ask, sent: dict[str, str]) -> None:
    assert ask(streams.NEXT_PATH, **sent).status_code == 403


def test_a_paged_replay_continues_at_a_sealed_address(
    app: Flask, ask: Ask, bearer: dict[str, str], client: FlaskClient, three: list[str]
) -> None:
    app.extensions["shirase"] = replace(
        app.extensions["shirase"], settings=replace(app.extensions["shirase"].settings, sse_queue_size=2)
    )
    first = ask(STREAM, **bearer, Last_Event_ID=three[0])
    assert titles(first) == ["T1", "T2"]
    assert "Grip-Hold" not in first.headers
    match = re.fullmatch(r"<(\S+)>; rel=next", first.headers["Grip-Link"])
    assert match
    assert client.get(match[1]).status_code == 403
    assert ask(match[1] + "x").status_code == 403
    rest = ask(match[1])
    assert (titles(rest), rest.headers["Grip-Hold"]) == (["T3"], "stream")


def test_a_long_poll_is_held_until_there_is_news(
    ask: Ask, bearer: dict[str, str], settings: Settings, database: Database, three: list[str]
) -> None:
    _, first, second, third = (event_id(database, USER, seq) for seq in range(4))
    waiting = ask(POLL, {"timeout": "20"}, **bearer)
    assert (waiting.status_code, waiting.json) == (200, {"events": [], "cursor": three[3]})
    assert (waiting.headers["Grip-Hold"], waiting.headers["Grip-Timeout"]) == ("response", "20")
    assert waiting.headers["Cache-Control"] == "no-store"
    held = re.sub("; prev-id=", "; last-id=", waiting.headers["Grip-Channel"])

    def again(grip_last: str) -> TestResponse:
        return ask(POLL, {"timeout": "20"}, **bearer, Grip_Last=grip_last)

    # The proxy repeats the request: it waits from its beginning, whatever the proxy has seen since.
    def wait(user: str, since: EventId, seconds: int) -> str:
        key, until = grip.sealing_keys(settings)[0], int(time.time()) + seconds
        channels = grip.hold_response(user, third, grip.Wait(since, until), 20, key).headers("GET")["Grip-Channel"]
        return channels.replace("prev-id", "last-id")

    answer: Any = again(wait(USER, second, 20)).json
    assert ([event["id"] for event in answer["events"]], answer["cursor"]) == (three[3:], three[3])
    assert again(held).headers["Grip-Hold"] == "response"
    assert "Grip-Hold" not in again(wait(USER, third, 1)).headers
    # The wait of another user is ignored, and so is an unsealed one.
    for other in (wait("another", first, 20), held.replace(f"last-id={third}-", f"last-id={second}-")):
        assert again(other).json == {"events": [], "cursor": three[3]}


@pytest.mark.parametrize("query", [{"timeout": "0"}, {"timeout": "61"}, {"after": "x" * 129}])
def test_a_wrong_query_of_a_long_poll_is_named(ask: Ask, bearer: dict[str, str], query: dict[str, str]) -> None:
    answer = ask(POLL, query, **bearer)
    body: Any = answer.json
    assert (answer.status_code, [error["field"] for error in body["errors"]]) == (422, list(query))


def test_no_answer_reveals_another_user(ask: Ask, token: Callable[..., str], three: list[str]) -> None:
    """An id with any characters is one id: ``a`` is not the first of ``a, b; c``."""
    for stranger in ("a", "b", " b", "a, b", "a, b; c ", grip.user_channel(USER), three[0]):
        mine = {"Authorization": f"Bearer {token(stranger)}"}
        answer = ask(STREAM, **mine, Last_Event_ID=three[0])
        assert titles(answer) == []
        assert grip.user_channel(USER) not in json.dumps(dict(answer.headers))
        assert "reset" in answer.text
