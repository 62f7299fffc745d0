"""The edge files of ``deploy/edge`` by the real programs: TLS, HTTP/2, streams at once, no secret in a log."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from uuid import uuid4

import httpx
import pytest

from shirase.access.tokens import WRITE
from tests.conftest import MakeDatabase
from tests.support.certificates import Authority, make_authority
from tests.support.edge import Edge, edge
from tests.support.stack import Stack

ARRIVES = 10.0  # seconds without a byte until a stream counts as held back; the heartbeat is slower
SECRET = "not-for-any-log"


@pytest.fixture(scope="module")
def stack(make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with make_database("sqlite") as url, Stack(url, tmp_path_factory.mktemp("edge")) as running:
        yield running


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return make_authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def front(
    request: pytest.FixtureRequest, stack: Stack, authority: Authority, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edge]:
    with edge(request.param, stack, authority, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def http(front: Edge, authority: Authority) -> Iterator[httpx.Client]:
    trust = ssl.create_default_context(cafile=str(authority.file))
    with closing(httpx.Client(base_url=front.url, http2=True, verify=trust, trust_env=False, timeout=ARRIVES)) as made:
        yield made


@contextmanager
def listening(http: httpx.Client, token: str) -> Iterator[Iterator[tuple[str, dict[str, object]]]]:
    with http.stream("GET", f"/api/sse/notifications?token={token}&x={SECRET}") as answer:
        assert (answer.status_code, answer.http_version) == (200, "HTTP/2"), answer.read()
        yield _events(answer)


def _events(answer: httpx.Response) -> Iterator[tuple[str, dict[str, object]]]:
    name = ""
    for line in answer.iter_lines():
        key, _, value = line.partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            yield name, json.loads(value)


def create(http: httpx.Client, stack: Stack, user: str, title: str) -> httpx.Response:
    body = {"user_id": user, "type": "a.b", "title": title, "message": ""}
    headers = {"Authorization": f"Bearer {stack.token('producer', WRITE)}"}
    return http.post("/api/notifications", json=body, headers=headers)


def test_events_pass_over_http2_at_once(http: httpx.Client, stack: Stack) -> None:
    user = f"user-{uuid4().hex}"
    with listening(http, stack.token(user)) as events:
        assert next(events)[0] == "connected"
        assert create(http, stack, user, "through the edge").status_code == 201
        name, data = next(events)
        assert (name, data["title"]) == ("notification", "through the edge")


def test_a_long_poll_is_held_and_answered(http: httpx.Client, stack: Stack) -> None:
    headers = {"Authorization": f"Bearer {stack.token('poller')}"}
    cursor = http.get("/api/notifications/poll?timeout=1", headers=headers).json()["cursor"]
    answer = http.get(f"/api/notifications/poll?timeout=2&after={cursor}", headers=headers)
    assert (answer.status_code, answer.json()["events"]) == (200, [])


@pytest.mark.parametrize("path", ["/metrics", "/readyz", "/livez", "/%6detrics", "//metrics", "/x/../metrics"])
def test_what_is_for_operators_is_not_there(http: httpx.Client, path: str) -> None:
    assert http.get(path).status_code == 404


def test_a_body_over_the_limit_is_refused_in_the_services_words(http: httpx.Client, stack: Stack) -> None:
    answer = create(http, stack, "42", "x" * 1_200_000)
    assert (answer.status_code, answer.headers["Content-Type"]) == (413, "application/problem+json")


def test_unfinished_requests_that_stay_open_stop_nobody(front: Edge, http: httpx.Client, authority: Authority) -> None:
    """Pushpin has a hundred places for requests, and keeps one until a body has ended: they must not get there."""
    trust = ssl.create_default_context(cafile=str(authority.file))
    host, port = front.url.removeprefix("https://").split(":")
    with ExitStack() as opened:
        for _ in range(150):
            plain = socket.create_connection((host, int(port)), ARRIVES)
            unfinished = opened.enter_context(trust.wrap_socket(plain, server_hostname=host))
            head = f"POST /api/sse/tickets HTTP/1.1\r\nHost: {host}\r\nContent-Length: 900000\r\n\r\n"
            unfinished.sendall(head.encode() + b" " * 50_000)
        assert http.get("/api/sse/notifications").status_code == 401


def test_no_query_and_no_sealed_address_is_in_a_log(front: Edge, http: httpx.Client, stack: Stack) -> None:
    user = f"user-{uuid4().hex}"
    with listening(http, stack.token(user)) as events:
        next(events)
    http.get(f"/api/notifications?x={SECRET}")
    for path in ("unsubscribe", "sse/next"):
        http.get(f"/api/{path}/{SECRET}")
    assert "/api/notifications" in front.logged()
    assert "/api/unsubscribe" in front.logged()
    assert SECRET not in front.logged()
    assert "eyJ" not in front.logged()


def test_without_handlers_clients_get_the_nodes_answer(http: httpx.Client, stack: Stack, front: Edge) -> None:
    stack.stop_gunicorn()
    try:
        answer = http.get(f"/api/notifications?x={SECRET}", headers={"Origin": "https://app.example.com"})
        assert (answer.status_code, answer.headers["Content-Type"]) == (503, "application/problem+json")
        assert int(answer.headers["Retry-After"]) > 0
        assert SECRET not in front.logged()
    finally:
        stack.start_gunicorn()
        stack.wait_ready()
