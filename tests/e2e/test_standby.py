"""The standby of a node: what clients receive while no handler answers, and that no recovery fails."""

import socket
import time
from collections.abc import Iterator
from contextlib import closing
from uuid import uuid4

import httpx
import jwt
import pytest

from shirase.inbox import cursors
from shirase.inbox.streams import NEXT_PATH, PATH
from shirase.proxy import grip, seals
from shirase.types import START
from tests.conftest import MakeDatabase
from tests.support.browser_like import Browsers
from tests.support.forwarder import Mode
from tests.support.fragile import Fragile, fragile_service
from tests.support.loop_thread import wait_until

LISTED, OTHER = "https://app.example.com", "https://elsewhere.example.com"
SEVERAL = 3  # retries
SOON = 40.0
PAGE = 10
AWAY = [Mode.REFUSE, Mode.CUT, Mode.FAIL, Mode.LOSE_ANSWER]  # how handlers fail to answer


@pytest.fixture(scope="module")
def away(
    make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory, browsers: Browsers
) -> Iterator[Fragile]:
    """A service whose handlers each test stops."""
    env = {"CORS_ORIGINS": LISTED, "SSE_QUEUE_SIZE": str(PAGE), "SSE_KEEPALIVE_TIMEOUT": "1"}
    with make_database("sqlite") as url, fragile_service(url, tmp_path_factory.mktemp("away"), browsers, env) as made:
        yield made


@pytest.fixture(autouse=True)
def _there_again(away: Fragile) -> Iterator[None]:
    yield
    away.origin.mode = away.control.mode = Mode.PASS
    away.stack.restart_ended()
    away.stack.wait_ready()


def ask(away: Fragile, method: str, path: str, origin: str = LISTED, **options: object) -> httpx.Response:
    headers = {"Origin": origin, **options.pop("headers", {})}  # type: ignore[dict-item]
    return away.service.http.request(method, away.stack.url + path, headers=headers, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", [f"{PATH}/", f"{PATH}/x", f"{PATH}x", f"{PATH}//", f"{NEXT_PATH}/x/y"])
@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
def test_a_path_that_no_handler_knows_is_not_found(away: Fragile, path: str, accept: str) -> None:
    """It begins as a stream's does, and so it comes by way of the standby."""
    token = away.stack.token("42")
    answer = ask(away, "GET", path, headers={"Accept": accept, "Authorization": f"Bearer {token}"}, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("mode", AWAY, ids=lambda mode: mode.name)
def test_a_recovery_without_handlers_loses_and_doubles_nothing(away: Fragile, mode: Mode) -> None:
    """Heartbeats are sent meanwhile: after a failed recovery they would make Pushpin read the stream twice."""
    service, alice = away.service, f"user-{uuid4().hex}"
    (device,) = away.open_settled([alice])
    away.stack.kill_relay()
    away.control.mode = Mode.REFUSE
    service.create(alice, "never published", url=away.stack.origin_url)
    away.control.mode = Mode.PASS
    away.origin.mode = mode
    asked, beats = away.origin.connects, len(device.named("heartbeat"))
    service.create(alice, "published", url=away.stack.origin_url)
    if mode is Mode.REFUSE:
        device.wait(lambda one: len(one.named("heartbeat")) >= beats + SEVERAL)
    else:
        wait_until(lambda: away.origin.connects >= asked + SEVERAL, SOON, "Pushpin did not ask again")
    assert not device.titles
    away.origin.mode = Mode.PASS

    device.wait(lambda one: len(one.titles) >= 2)
    assert device.titles == ["never published", "published"]
    assert device.connections == 1


def test_streams_open_and_recover_through_the_standby(away: Fragile) -> None:
    """Pushpin recovers a stream by the route of its opening. The standby requests `Connection: close`."""
    asked = len(away.origin.requests)
    away.open_settled([f"user-{uuid4().hex}"])
    of_streams = [request for request in away.origin.requests[asked:] if b" /api/sse/" in request]
    assert len(of_streams) >= 2
    assert all(b"\r\nConnection: close\r\n" in request for request in of_streams)


@pytest.mark.parametrize("mode", AWAY, ids=lambda mode: mode.name)
def test_an_unanswered_recovery_keeps_holding(away: Fragile, mode: Mode) -> None:
    away.origin.mode = mode
    claims = {"iss": "pushpin", "exp": int(time.time()) + 60}
    signed = {"Grip-Sig": jwt.encode(claims, away.stack.settings.pushpin_sig_key, algorithm="HS256")}
    key = grip.sealing_keys(away.stack.settings)[0]
    channel = grip.connection_channel(seals.connection_id(key, "alice", "0123456789abcdef-0"))
    last = {"Grip-Last": f"u-YWxpY2U; last-id=7.0a1b2c, {channel}; last-id=0"}
    with closing(httpx.Client(trust_env=False)) as http:
        answer = http.get(f"http://{away.stack.proxies[0].standby}/api/sse/next", headers=last | signed)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Grip-Channel"] == f"u-YWxpY2U; prev-id=7.0a1b2c, {channel}; prev-id=0"
    assert answer.headers["Grip-Link"] == f"</api/sse/next>; rel=next; timeout={grip.AGAIN}"


@pytest.mark.parametrize("mode", [Mode.CUT, Mode.LOSE_ANSWER], ids=lambda mode: mode.name)
def test_a_stream_cut_while_opening_reconnects_by_itself(away: Fragile, mode: Mode) -> None:
    away.origin.mode = mode
    device = away.service.open(f"user-{uuid4().hex}", greeted=False)
    device.wait(lambda one: one.connections)
    away.origin.mode = Mode.PASS
    device.wait(lambda one: one.named("connected"))


@pytest.mark.parametrize("mode", [Mode.CUT, Mode.FAIL, Mode.LOSE_ANSWER], ids=lambda mode: mode.name)
def test_a_paged_replay_survives_an_outage_of_the_handlers(away: Fragile, mode: Mode) -> None:
    service, alice = away.service, f"user-{uuid4().hex}"
    titles = [str(number) for number in range(PAGE * 3)]
    service.create_batch(alice, titles)
    away.origin.mode = Mode.HOLD
    device = service.open(alice, cursor=cursors.encode(service.database.name, alice, START), greeted=False)
    away.origin.wait_held()
    away.origin.mode = mode
    asked = away.origin.connects
    away.origin.release()
    wait_until(lambda: away.origin.connects >= asked + SEVERAL, SOON, "the next page was not asked for again")
    assert device.titles == titles[:PAGE]
    away.origin.mode = Mode.PASS

    device.wait(lambda one: len(one.titles) >= len(titles))
    assert device.titles == titles
    assert device.connections == 1


def test_a_stream_without_a_handler_reconnects_by_itself(away: Fragile) -> None:
    """A native EventSource gives up at any status but 200."""
    away.origin.mode = Mode.REFUSE
    device = away.service.open(f"user-{uuid4().hex}", greeted=False)
    device.wait(lambda one: one.connections >= 2)
    away.origin.mode = Mode.PASS
    device.wait(lambda one: one.named("connected"))


@pytest.mark.parametrize("path", ["/api/notifications", "/api/sse/notifications", "/api/sse/next", "/"])
def test_pages_of_listed_origins_can_read_the_503(away: Fragile, path: str) -> None:
    away.origin.mode = Mode.REFUSE
    answer = ask(away, "GET", path)
    assert (answer.status_code, answer.json()["status"]) == (503, 503)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Access-Control-Allow-Origin"] == LISTED
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["Vary"] == "Origin"

    refused = ask(away, "GET", path, OTHER)
    assert refused.status_code == 503
    assert not [name for name in refused.headers if name.lower().startswith("access-control")]


def test_a_preflight_is_answered_while_no_handler_answers(away: Fragile) -> None:
    away.origin.mode = Mode.REFUSE
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    answer = ask(away, "OPTIONS", "/api/notifications", headers=asking)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == LISTED
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert (
        "Access-Control-Allow-Origin" not in ask(away, "OPTIONS", "/api/notifications", OTHER, headers=asking).headers
    )


@pytest.mark.parametrize("size", [100, 300_000, 1_000_000])
def test_any_allowed_body_is_answered_without_handlers(away: Fragile, size: int) -> None:
    away.origin.mode = Mode.REFUSE
    assert ask(away, "POST", "/api/notifications", content=b"x" * size).status_code == 503


def test_only_the_proxy_gets_an_instruction_to_hold(away: Fragile) -> None:
    """Neither a request without its signature, nor a client's request that the proxy signed."""
    away.origin.mode = Mode.REFUSE
    forged = {"Grip-Last": "u-YWxpY2U; last-id=0, c-0a1b; last-id=0"}
    assert ask(away, "GET", "/api/sse/next", headers=forged).status_code == 503
    node = away.stack.proxies[0].standby
    with closing(httpx.Client(trust_env=False)) as http:
        for signature in ("", "x", "e30.e30.e30"):
            answer = http.get(f"http://{node}/api/sse/next", headers={**forged, "Grip-Sig": signature})
            assert (answer.status_code, "Grip-Hold" in answer.headers) == (503, False)
        claims = {"iss": "pushpin", "exp": int(time.time()) + 60}
        signed = {"Grip-Sig": jwt.encode(claims, away.stack.settings.pushpin_sig_key, algorithm="HS256")}
        answer = http.get(f"http://{node}/api/sse/next", headers=forged | signed)
        assert (answer.status_code, "Grip-Hold" in answer.headers) == (503, False)


@pytest.mark.parametrize("request_line", [b"", b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"])
def test_bytes_that_are_no_request_harm_nobody(away: Fragile, request_line: bytes) -> None:
    host, _, port = away.stack.proxies[0].standby.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(request_line)
        line.shutdown(socket.SHUT_WR)
        line.recv(1000)
    assert ask(away, "GET", "/healthz").status_code == 200
