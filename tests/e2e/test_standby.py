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
FAILING = [Mode.REFUSE, Mode.CUT, Mode.FAIL, Mode.LOSE_ANSWER]  # how handlers fail to answer


@pytest.fixture(scope="module")
def fragile(
    make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory, browsers: Browsers
) -> Iterator[Fragile]:
    """A service whose handlers each test stops."""
    env = {"CORS_ORIGINS": LISTED, "SSE_QUEUE_SIZE": str(PAGE), "SSE_KEEPALIVE_TIMEOUT": "1"}
    with (
        make_database("sqlite") as url,
        fragile_service(url, tmp_path_factory.mktemp("fragile"), browsers, env) as made,
    ):
        yield made


@pytest.fixture(autouse=True)
def _there_again(fragile: Fragile) -> Iterator[None]:
    yield
    fragile.origin.mode = fragile.control.mode = Mode.PASS
    fragile.stack.restart_ended()
    fragile.stack.wait_ready()


def ask(fragile: Fragile, method: str, path: str, origin: str = LISTED, **options: object) -> httpx.Response:
    headers = {"Origin": origin, **options.pop("headers", {})}  # type: ignore[dict-item]
    return fragile.service.http.request(method, fragile.stack.url + path, headers=headers, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", [f"{PATH}/", f"{PATH}/x", f"{PATH}x", f"{PATH}//", f"{NEXT_PATH}/x/y"])
@pytest.mark.parametrize("accept", ["*/*", "text/event-stream"])
def test_a_path_that_no_handler_knows_is_not_found(fragile: Fragile, path: str, accept: str) -> None:
    """It begins as a stream's does, and so it comes by way of the standby."""
    token = fragile.stack.token("42")
    answer = ask(fragile, "GET", path, headers={"Accept": accept, "Authorization": f"Bearer {token}"}, timeout=10)
    assert (answer.status_code, answer.headers["Content-Type"]) == (404, "application/problem+json")


@pytest.mark.parametrize("mode", FAILING, ids=lambda mode: mode.name)
def test_a_recovery_without_handlers_loses_and_doubles_nothing(fragile: Fragile, mode: Mode) -> None:
    """Heartbeats are sent meanwhile: after a failed recovery they would make Pushpin read the stream twice."""
    service, alice = fragile.service, f"user-{uuid4().hex}"
    (device,) = fragile.open_settled([alice])
    fragile.stack.kill_relay()
    fragile.control.mode = Mode.REFUSE
    service.create(alice, "never published", url=fragile.stack.origin_url)
    fragile.control.mode = Mode.PASS
    fragile.origin.mode = mode
    asked, beats = fragile.origin.connects, len(device.named("heartbeat"))
    service.create(alice, "published", url=fragile.stack.origin_url)
    if mode is Mode.REFUSE:
        device.wait(lambda seen: len(seen.named("heartbeat")) >= beats + SEVERAL)
    else:
        wait_until(lambda: fragile.origin.connects >= asked + SEVERAL, SOON, "Pushpin did not ask again")
    assert not device.titles
    fragile.origin.mode = Mode.PASS

    device.wait(lambda seen: len(seen.titles) >= 2)
    assert device.titles == ["never published", "published"]
    assert device.connections == 1


def test_streams_open_and_recover_through_the_standby(fragile: Fragile) -> None:
    """Pushpin recovers a stream by the route of its opening. The standby requests `Connection: close`."""
    asked = len(fragile.origin.requests)
    fragile.open_settled([f"user-{uuid4().hex}"])
    of_streams = [request for request in fragile.origin.requests[asked:] if b" /api/sse/" in request]
    assert len(of_streams) >= 2
    assert all(b"\r\nConnection: close\r\n" in request for request in of_streams)


@pytest.mark.parametrize("mode", FAILING, ids=lambda mode: mode.name)
def test_an_unanswered_recovery_keeps_holding(fragile: Fragile, mode: Mode) -> None:
    fragile.origin.mode = mode
    claims = {"iss": "pushpin", "exp": int(time.time()) + 60}
    signed = {"Grip-Sig": jwt.encode(claims, fragile.stack.settings.pushpin_sig_key, algorithm="HS256")}
    key = grip.sealing_keys(fragile.stack.settings)[0]
    channel = grip.connection_channel(seals.connection_id(key, "alice", "0123456789abcdef-0"))
    last = {"Grip-Last": f"u-YWxpY2U; last-id=7.0a1b2c, {channel}; last-id=0"}
    with closing(httpx.Client(trust_env=False)) as http:
        answer = http.get(f"http://{fragile.stack.proxies[0].standby}/api/sse/next", headers=last | signed)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["Grip-Channel"] == f"u-YWxpY2U; prev-id=7.0a1b2c, {channel}; prev-id=0"
    assert answer.headers["Grip-Link"] == f"</api/sse/next>; rel=next; timeout={grip.AGAIN}"


@pytest.mark.parametrize("mode", [Mode.CUT, Mode.LOSE_ANSWER], ids=lambda mode: mode.name)
def test_a_stream_cut_while_opening_reconnects_by_itself(fragile: Fragile, mode: Mode) -> None:
    fragile.origin.mode = mode
    device = fragile.service.open(f"user-{uuid4().hex}", greeted=False)
    device.wait(lambda seen: seen.connections)
    fragile.origin.mode = Mode.PASS
    device.wait(lambda seen: seen.named("connected"))


@pytest.mark.parametrize("mode", [Mode.CUT, Mode.FAIL, Mode.LOSE_ANSWER], ids=lambda mode: mode.name)
def test_a_paged_replay_survives_an_outage_of_the_handlers(fragile: Fragile, mode: Mode) -> None:
    service, alice = fragile.service, f"user-{uuid4().hex}"
    titles = [str(number) for number in range(PAGE * 3)]
    service.create_batch(alice, titles)
    fragile.origin.mode = Mode.HOLD
    device = service.open(alice, cursor=cursors.encode(service.database.name, alice, START), greeted=False)
    fragile.origin.wait_held()
    fragile.origin.mode = mode
    asked = fragile.origin.connects
    fragile.origin.release()
    wait_until(lambda: fragile.origin.connects >= asked + SEVERAL, SOON, "the next page was not asked for again")
    assert device.titles == titles[:PAGE]
    fragile.origin.mode = Mode.PASS

    device.wait(lambda seen: len(seen.titles) >= len(titles))
    assert device.titles == titles
    assert device.connections == 1


def test_a_stream_without_a_handler_reconnects_by_itself(fragile: Fragile) -> None:
    """A native EventSource gives up at any status but 200."""
    fragile.origin.mode = Mode.REFUSE
    device = fragile.service.open(f"user-{uuid4().hex}", greeted=False)
    device.wait(lambda seen: seen.connections >= 2)
    fragile.origin.mode = Mode.PASS
    device.wait(lambda seen: seen.named("connected"))


@pytest.mark.parametrize("path", ["/api/notifications", "/api/sse/notifications", "/api/sse/next", "/"])
def test_pages_of_listed_origins_can_read_the_503(fragile: Fragile, path: str) -> None:
    fragile.origin.mode = Mode.REFUSE
    answer = ask(fragile, "GET", path)
    assert (answer.status_code, answer.json()["status"]) == (503, 503)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert int(answer.headers["Retry-After"]) > 0
    assert answer.headers["Access-Control-Allow-Origin"] == LISTED
    assert answer.headers["Access-Control-Allow-Credentials"] == "true"
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["Vary"] == "Origin"

    refused = ask(fragile, "GET", path, OTHER)
    assert refused.status_code == 503
    assert not [name for name in refused.headers if name.lower().startswith("access-control")]


def test_a_preflight_is_answered_while_no_handler_answers(fragile: Fragile) -> None:
    fragile.origin.mode = Mode.REFUSE
    asking = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    answer = ask(fragile, "OPTIONS", "/api/notifications", headers=asking)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["Access-Control-Allow-Origin"] == LISTED
    assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]
    assert (
        "Access-Control-Allow-Origin"
        not in ask(fragile, "OPTIONS", "/api/notifications", OTHER, headers=asking).headers
    )


@pytest.mark.parametrize("size", [100, 300_000, 1_000_000])
def test_any_allowed_body_is_answered_without_handlers(fragile: Fragile, size: int) -> None:
    fragile.origin.mode = Mode.REFUSE
    assert ask(fragile, "POST", "/api/notifications", content=b"x" * size).status_code == 503


def test_only_the_proxy_gets_an_instruction_to_hold(fragile: Fragile) -> None:
    """Neither a request without its signature, nor a client's request that the proxy signed."""
    fragile.origin.mode = Mode.REFUSE
    forged = {"Grip-Last": "u-YWxpY2U; last-id=0, c-0a1b; last-id=0"}
    assert ask(fragile, "GET", "/api/sse/next", headers=forged).status_code == 503
    node = fragile.stack.proxies[0].standby
    with closing(httpx.Client(trust_env=False)) as http:
        for signature in ("", "x", "e30.e30.e30"):
            answer = http.get(f"http://{node}/api/sse/next", headers={**forged, "Grip-Sig": signature})
            assert (answer.status_code, "Grip-Hold" in answer.headers) == (503, False)
        claims = {"iss": "pushpin", "exp": int(time.time()) + 60}
        signed = {"Grip-Sig": jwt.encode(claims, fragile.stack.settings.pushpin_sig_key, algorithm="HS256")}
        answer = http.get(f"http://{node}/api/sse/next", headers=forged | signed)
        assert (answer.status_code, "Grip-Hold" in answer.headers) == (503, False)


@pytest.mark.parametrize("request_line", [b"", b"\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nno colon\r\n\r\n"])
def test_bytes_that_are_no_request_harm_nobody(fragile: Fragile, request_line: bytes) -> None:
    host, _, port = fragile.stack.proxies[0].standby.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=10) as line:
        line.sendall(request_line)
        line.shutdown(socket.SHUT_WR)
        line.recv(1000)
    assert ask(fragile, "GET", "/healthz").status_code == 200
