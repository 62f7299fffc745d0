"""Who may hold a stream: the limit, revocation, and a lost registry."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import text

from shirase.access.tokens import ADMIN, LEEWAY
from shirase.errors import TooManyConnections
from shirase.inbox import connections, streams
from shirase.inbox.connections import CONNECTION_LIMIT, NEVER, REVOKED, TOKEN_EXPIRED
from shirase.proxy import grip
from shirase.proxy.publisher import Publisher
from shirase.settings import REJECT, Settings
from shirase.store import connections as table
from shirase.store.database import Database
from shirase.types import START
from tests.support.control_port import ControlPort, control_port
from tests.support.event_stream import parse
from tests.support.interleavings import interleavings
from tests.support.loop_thread import wait_until

USER = "a, b; c=é"
LIMIT = 5
RACERS = 24


@pytest.fixture
def port() -> Iterator[ControlPort]:
    with control_port() as running:
        yield running


@pytest.fixture
def publisher(settings: Settings, port: ControlPort) -> Publisher:
    return Publisher(replace(settings, grip_url=(port.url,)))


@pytest.fixture
def open_stream(database: Database, settings: Settings, publisher: Publisher) -> Callable[..., str]:
    """Return a function that opens a stream and returns its connection's id."""

    def ask(user: str = USER, expires_at: int | None = None, policy: str = "evict-oldest") -> str:
        chosen = replace(settings, sse_connection_limit_policy=policy)
        stream = connections.new(settings, user, expires_at, "agent\x00\n" + "x" * 300, "127.0.0.1")
        answer = streams.open_stream(database, publisher, chosen, stream, None)
        assert "Grip-Hold" in answer.headers("GET")
        return stream.connection_id

    return ask


def live(database: Database, user: str = USER) -> list[str]:
    with database.autocommit() as db:
        return table.of_user(db, user)


def recover(database: Database, settings: Settings, connection_id: str) -> streams.Answer:
    return streams.recover(database, Publisher(settings), settings, grip.Last(USER, connection_id, START))


def closing_of(answer: streams.Answer) -> tuple[str, dict[str, Any]]:
    (event,) = parse(answer.body).events
    return event.event, event.json()


def test_the_oldest_is_evicted_and_does_not_reconnect(
    database: Database, settings: Settings, open_stream: Callable[..., str], port: ControlPort
) -> None:
    opened = [open_stream() for _ in range(LIMIT + 2)]
    assert live(database) == opened[2:]
    channels = [item["channel"] for item in port.items]
    assert channels == [grip.connection_channel(connection) for connection in opened[:2] for _ in range(2)]
    last, end = port.items[:2]
    assert (last["id"], last["prev-id"], end["id"], end["prev-id"]) == ("1", "0", "2", "1")
    assert end["formats"]["http-stream"] == {"action": "close"}
    read = parse(last["formats"]["http-stream"]["content"])
    assert [json.loads(event.data) for event in read.events] == [{"reason": CONNECTION_LIMIT, "reconnect": False}]
    assert read.retry == NEVER
    answer = recover(database, settings, opened[0])
    assert (closing_of(answer), answer.headers("GET")) == (
        ("closing", {"reason": CONNECTION_LIMIT, "reconnect": False}),
        {},
    )
    assert "Grip-Hold" in recover(database, settings, opened[2]).headers("GET")


def test_with_reject_one_more_is_refused_and_nobody_gives_way(
    database: Database, open_stream: Callable[..., str], port: ControlPort
) -> None:
    opened = [open_stream(policy=REJECT) for _ in range(LIMIT)]
    with pytest.raises(TooManyConnections):
        open_stream(policy=REJECT)
    assert live(database) == opened
    assert port.posts == []
    open_stream("another", policy=REJECT)


@pytest.mark.parametrize("policy", ["evict-oldest", REJECT])
def test_the_limit_is_exact_when_many_connect_at_once(
    database: Database, open_stream: Callable[..., str], port: ControlPort, policy: str
) -> None:
    batcher = threading.Barrier(RACERS)

    def race(_: int) -> str | None:
        batcher.wait()
        try:
            return open_stream(policy=policy)
        except TooManyConnections:
            return None

    with ThreadPoolExecutor(RACERS) as racers:
        opened = [entry for entry in racers.map(race, range(RACERS)) if entry]
    left = live(database)
    assert len(left) == LIMIT
    if policy == REJECT:
        assert sorted(left) == sorted(opened)
    else:
        assert {item["channel"][2:] for item in port.items} == set(opened) - set(left)
        assert len(opened) == RACERS


def left(database: Database, connect: Callable[[str], None]) -> list[int]:
    """How many streams a user with one has after two connects, for each order of their statements."""
    users: list[str] = []

    def begin() -> list[Callable[[], None]]:
        users.append(user := f"user-{len(users)}")
        connect(user)
        return [partial(connect, user)] * 2

    return [len(live(database, users[-1])) for _ in interleavings(database, begin)]


@pytest.mark.parametrize("policy", ["evict-oldest", REJECT])
def test_no_order_of_two_connects_exceeds_the_limit(
    database: Database, settings: Settings, publisher: Publisher, policy: str
) -> None:
    chosen = replace(settings, sse_connection_limit_policy=policy, sse_max_connections_per_user=2)

    def connect(user: str) -> None:
        with suppress(TooManyConnections):
            connections.admit(database, publisher, chosen, connections.new(chosen, user, None, "", ""))

    counts = left(database, connect)
    assert set(counts) == {2}
    assert len(counts) > 5


def test_counting_before_the_row_is_there_would_exceed_the_limit(database: Database, settings: Settings) -> None:
    """So that the test above is known to see an excess."""

    def connect(user: str) -> None:
        if len(live(database, user)) < 2:
            connections.enter(database, connections.new(settings, user, None, "", ""), datetime.now(UTC))

    assert max(left(database, connect)) == 3


def test_a_refusal_is_a_429_with_retry_after(
    client: FlaskClient, settings: Settings, token: Callable[..., str], signed: dict[str, str]
) -> None:
    client.application.extensions["shirase"] = replace(
        client.application.extensions["shirase"],
        settings=replace(settings, sse_connection_limit_policy=REJECT, sse_max_connections_per_user=1),
    )
    headers = signed | {"Authorization": f"Bearer {token(USER)}"}
    assert client.get("/api/sse/notifications", headers=headers).status_code == 200
    refused = client.get("/api/sse/notifications", headers=headers)
    assert (refused.status_code, refused.mimetype) == (429, "application/problem+json")
    assert int(refused.headers["Retry-After"]) > 0


def test_a_user_agent_is_cut_and_cleaned(
    client: FlaskClient, database: Database, token: Callable[..., str], signed: dict[str, str]
) -> None:
    hostile = {"User-Agent": "\x1b[31mé" + "x" * 300, "X-Forwarded-For": f"forged, {'9' * 100}"}
    headers = signed | {"Authorization": f"Bearer {token(USER)}"} | hostile
    assert client.get("/api/sse/notifications", headers=headers).status_code == 200
    with database.autocommit() as db:
        agent, address = db.execute(text("SELECT user_agent, address FROM shirase_connections")).one()
    assert agent.isprintable()
    assert (len(agent), address) == (200, "9" * 64)


def test_revocation_ends_all_streams_of_a_user(
    database: Database, settings: Settings, open_stream: Callable[..., str], publisher: Publisher
) -> None:
    first, second, gone = (open_stream() for _ in range(3))
    other = open_stream("another")
    with database.transaction() as db:
        db.execute(
            text("UPDATE shirase_connections SET ended_at = opened_at, reason = 'gone' WHERE connection_id = :id"),
            {"id": gone},
        )
    assert connections.revoke(database, publisher, USER) == 2
    assert live(database) == []
    assert live(database, "another") == [other]
    for item in (first, second, gone):
        assert closing_of(recover(database, settings, item)) == ("closing", {"reason": REVOKED, "reconnect": False})
    assert connections.revoke(database, publisher, USER) == 0
    assert live(database) == []


def test_a_token_ends_its_stream_and_lets_the_client_come_back(
    database: Database, settings: Settings, open_stream: Callable[..., str], publisher: Publisher, port: ControlPort
) -> None:
    lasting = open_stream(expires_at=int(time.time()) + 3600)
    short = open_stream(expires_at=int(time.time()) + 1)
    wait_until(lambda: connections.end_due(database, publisher), 5, "it does not expire")
    assert live(database) == [lasting]
    assert {item["channel"] for item in port.items} == {grip.connection_channel(short)}
    read = parse(port.items[0]["formats"]["http-stream"]["content"])
    assert read.retry is None
    assert read.events[0].json() == {"reason": TOKEN_EXPIRED, "reconnect": True}
    assert closing_of(recover(database, settings, short))[1] == {"reason": TOKEN_EXPIRED, "reconnect": True}


def test_a_lost_row_is_inserted_again_with_its_tokens_expiry(
    database: Database, settings: Settings, open_stream: Callable[..., str]
) -> None:
    end = int(time.time()) + 3600
    lost, expired = open_stream(expires_at=end), open_stream(expires_at=int(time.time()) - LEEWAY)
    with database.transaction() as db:
        db.execute(text("DELETE FROM shirase_connections"))
    assert "Grip-Hold" in recover(database, settings, lost).headers("GET")
    assert live(database) == [lost]
    with database.autocommit() as db:
        assert table.expired(db, datetime.fromtimestamp(end, UTC), 9) == [lost]
        assert table.expired(db, datetime.fromtimestamp(end - 1, UTC), 9) == []
    assert closing_of(recover(database, settings, expired))[1]["reason"] == TOKEN_EXPIRED


def test_a_token_that_is_let_in_late_is_not_ended_at_once(open_stream: Callable[..., str], database: Database) -> None:
    late = open_stream(expires_at=int(time.time()) - 1)
    with database.autocommit() as db:
        assert table.expired(db, datetime.now(UTC), 9) == []
        assert table.expired(db, datetime.now(UTC) + timedelta(seconds=LEEWAY), 9) == [late]


@pytest.mark.parametrize("expires_at", [2**40, 10**30, 0, -5])
def test_any_number_may_be_a_tokens_end(settings: Settings, expires_at: int) -> None:
    assert connections.new(settings, USER, expires_at, "", "").expires_at is not None


def test_a_closing_that_no_node_took_is_sent_again(
    database: Database, open_stream: Callable[..., str], publisher: Publisher, port: ControlPort
) -> None:
    port.behaviour = "fail"
    connection_id = open_stream()
    assert connections.revoke(database, publisher, USER) == 1
    port.behaviour = "accept"

    def again() -> bool:
        connections.end_due(database, publisher)
        return bool(port.items)

    wait_until(again, 10, "the node was not notified")
    assert [item["channel"] for item in port.items] == [grip.connection_channel(connection_id)] * 2
    connections.end_due(database, publisher)
    assert len(port.posts) == 1


def test_a_stream_that_begins_late_can_be_ended_before(
    database: Database, settings: Settings, publisher: Publisher, open_stream: Callable[..., str]
) -> None:
    """The database was unavailable when it opened; the proxy requests its beginning, possibly twice."""
    unreachable = Database("postgresql://nobody@127.0.0.1:1/none")
    page = streams.open_stream(unreachable, publisher, settings, connections.new(settings, USER, None, "", ""), None)
    unreachable.close()
    sealed = page.headers("GET")["Grip-Link"].partition(">")[0].rpartition("/")[2]

    def begin(policy: str = "evict-oldest") -> streams.Answer:
        chosen = replace(settings, sse_connection_limit_policy=policy)
        answer = streams.continue_stream(database, publisher, chosen, sealed)
        assert answer
        return answer

    others = [open_stream() for _ in range(LIMIT)]
    assert closing_of(begin(REJECT)) == ("closing", {"reason": CONNECTION_LIMIT, "reconnect": False})
    for _ in range(2):
        assert "Grip-Hold" in begin().headers("GET")
        assert live(database)[:-1] == others[1:]
    connections.revoke(database, publisher, USER)
    assert closing_of(begin()) == ("closing", {"reason": REVOKED, "reconnect": False})


def test_status_has_the_callers_and_for_operators_the_totals(
    client: FlaskClient, token: Callable[..., str], open_stream: Callable[..., str]
) -> None:
    def status(scope: str = "") -> Any:
        return client.get("/api/sse/status", headers={"Authorization": f"Bearer {token(USER, scope)}"}).json

    own = {"user_connections": 0, "total_connections": None, "active_users": None, "status": "inactive"}
    assert status() == own
    for user in (USER, USER, "another"):
        open_stream(user)
    assert status() == own | {"user_connections": 2, "status": "active"}
    totals = {"total_connections": 3, "active_users": 2}
    assert status(ADMIN) == own | {"user_connections": 2, "status": "active"} | totals


@pytest.mark.parametrize("query", [{}, {"user_id": ""}, {"user_id": "a\x00b"}, {"user_id": "x" * 256}, {"all": "1"}])
def test_a_revocation_names_one_user(client: FlaskClient, token: Callable[..., str], query: dict[str, str]) -> None:
    headers = {"Authorization": f"Bearer {token('operator', ADMIN)}"}
    answer = client.delete("/api/sse/connections", query_string=query, headers=headers)
    assert answer.status_code == 422


def test_a_revocation_needs_the_scope_and_returns_a_count(
    client: FlaskClient, token: Callable[..., str], open_stream: Callable[..., str]
) -> None:
    open_stream()
    for scope, status in (("", 403), ("notifications:write", 403), (ADMIN, 200)):
        headers = {"Authorization": f"Bearer {token(USER, scope)}"}
        answer = client.delete("/api/sse/connections", query_string={"user_id": USER}, headers=headers)
        assert answer.status_code == status
    assert answer.json == {"closed": 1}
