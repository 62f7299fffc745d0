"""Abusive clients, through the real proxy, do not stop the service for others."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from uuid import uuid4

import httpx
import pytest

from shirase.run.arrivals import PATIENCE as ARRIVES_AT_ONCE
from shirase.run.arrivals import SHARE
from tests.conftest import MakeDatabase
from tests.support.browser_like import Browsers
from tests.support.loop_thread import wait_until
from tests.support.service import Service, service
from tests.support.stack import Stack

PATIENCE = 30.0  # seconds: many times the limit for a request's arrival
READ = "/api/notifications/read"
MORE_THAN_OPEN_REQUESTS = 105  # the proxy has 100 for all clients
UPLOADS = 12  # more than a worker has threads
BEGUN = 50_000  # bytes: the proxy forwards a body that is larger than some kilobytes while it arrives
ENDLESS = b"Content-Type: application/json\r\nContent-Length: 900000\r\n\r\n" + b" " * BEGUN


@pytest.fixture(scope="module")
def small(
    tmp_path_factory: pytest.TempPathFactory, make_database: MakeDatabase, browsers: Browsers
) -> Iterator[Service]:
    """Start one worker, which waits at most a second for a request."""
    env = {"REQUEST_TIMEOUT": "1", "RATE_LIMIT_TICKETS": "3/hour"}
    with (
        make_database("sqlite") as url,
        Stack(url, tmp_path_factory.mktemp("small"), workers=1, env=env) as stack,
        service(stack, browsers) as running,
    ):
        yield running


# The origin's status, or the proxy's: Pushpin 1.41 answers 502 where 1.36 forwards the answer.
TOO_MANY = "http/1.1 429 too many requests"  # of this user at a time
CUT = {"http/1.1 408 request timeout", "http/1.1 400 bad request", "http/1.1 502 bad gateway", TOO_MANY, "closed", ""}


def upload_slowly(url: str, token: str, sent: bytes, stop: threading.Event, path: str = READ) -> str:
    """Send the beginning, then single bytes until there is an answer or the end; return its first line."""
    host, _, port = url.removeprefix("http://").partition(":")
    with closing(socket.create_connection((host, int(port)), PATIENCE)) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        connection.sendall(head.encode() + sent)
        connection.settimeout(0.1)
        while not stop.is_set():
            try:
                connection.sendall(b" ")
                return connection.recv(1000).decode().partition("\r\n")[0].lower()
            except TimeoutError:
                continue
            except OSError:
                return "closed"
    return "still open"


@pytest.mark.parametrize(
    "sent",
    [
        b"Content-Type: application/json\r\nContent-Length: 900000\r\n\r\n" + b" " * BEGUN,
        b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nC350\r\n"
        + b" " * BEGUN
        + b"\r\nFFFF\r\n",
    ],
    ids=["length", "chunked"],
)
@pytest.mark.parametrize("through_the_proxy", [True, False])
def test_slow_uploads_are_cut_and_keep_no_thread(small: Service, sent: bytes, *, through_the_proxy: bool) -> None:
    stop = threading.Event()
    url = small.stack.url if through_the_proxy else small.stack.origin_url
    token = small.stack.token(f"user-{uuid4().hex}")
    ends: list[str] = []
    uploads = [
        threading.Thread(target=lambda: ends.append(upload_slowly(url, token, sent, stop))) for _ in range(UPLOADS)
    ]
    for upload in uploads:
        upload.start()
    try:
        assert small.ask("GET", "/healthz").status_code == 200
        wait_until(lambda: len(ends) == UPLOADS, PATIENCE, "the uploads go on")
    finally:
        stop.set()
        for upload in uploads:
            upload.join()
    assert set(ends) <= CUT
    assert "failed" not in small.stack.logs()


def test_headers_that_arrive_slowly_keep_no_thread_of_the_origin(small: Service) -> None:
    host, _, port = small.stack.origin_url.removeprefix("http://").partition(":")
    connections = [socket.create_connection((host, int(port)), PATIENCE) for _ in range(UPLOADS)]
    for connection in connections:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\nX-Slow: ")
    began = time.monotonic()
    assert small.ask("GET", "/healthz").status_code == 200
    assert time.monotonic() - began < PATIENCE
    for connection in connections:
        connection.settimeout(PATIENCE)
        assert connection.recv(1000)[:12] in (b"", b"HTTP/1.1 400", b"HTTP/1.1 408")
        connection.close()


def test_limits_apply_through_the_proxy(small: Service) -> None:
    user = f"user-{uuid4().hex}"
    answers = [small.ask("POST", "/api/sse/tickets", user) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [201, 201, 201, 429]
    assert int(answers[3].headers["Retry-After"]) > 60
    assert answers[3].headers["RateLimit-Policy"] == '"tickets";q=3;w=3600'


@pytest.mark.parametrize(
    "headers", [{"X-Big": "x" * 9000}, {f"X-{number}": "x" * 60 for number in range(200)}], ids=["long", "many"]
)
def test_headers_beyond_the_bounds_are_refused_and_others_go_on(small: Service, headers: dict[str, str]) -> None:

    try:
        status = small.ask("GET", "/healthz", headers=headers).status_code
    except httpx.HTTPError:
        status = 0  # the proxy drops the connection
    assert status in (0, 400, 431, 500, 502)
    assert small.ask("GET", "/healthz").status_code == 200


def test_a_body_beyond_the_bound_is_refused_before_it_is_read(small: Service) -> None:
    body = b'{"ids": [' + b" " * 3_000_000
    answer = small.ask("POST", "/api/notifications/read", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413
    assert answer.headers["Content-Type"] == "application/problem+json"


@contextmanager
def uploads(stack: Stack, count: int, path: str, user: str) -> Iterator[list[str]]:
    """So many slow uploads at a time; gives the first lines of the answers as they come."""
    stop, ends = threading.Event(), list[str]()
    token = stack.token(user)
    threads = [
        threading.Thread(target=lambda: ends.append(upload_slowly(stack.url, token, ENDLESS, stop, path)))
        for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    try:
        yield ends
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.fixture(scope="module")
def patient(
    tmp_path_factory: pytest.TempPathFactory, make_database: MakeDatabase, browsers: Browsers
) -> Iterator[Service]:
    """Waits for a request for longer than any test: what is answered was not waited for."""
    env = {"REQUEST_TIMEOUT": "60", "RATE_LIMIT_TICKETS": "off"}
    with (
        make_database("sqlite") as url,
        Stack(url, tmp_path_factory.mktemp("patient"), workers=1, env=env) as stack,
        service(stack, browsers) as running,
    ):
        yield running


@pytest.mark.parametrize("path", ["/api/sse/notifications", "/api/sse/tickets/x", "/nothing"])
def test_what_its_path_refuses_is_refused_before_its_body(patient: Service, path: str) -> None:
    with uploads(patient.stack, MORE_THAN_OPEN_REQUESTS, path, "mallory") as ends:
        wait_until(lambda: len(ends) == MORE_THAN_OPEN_REQUESTS, PATIENCE, "they are waited for")
        # Where the origin closes on unread bytes, the answer may be lost on its way.
        assert {end.split(" ")[1] for end in ends} <= {"404", "405", "502"}
        assert patient.ask("GET", "/healthz").status_code == 200


def test_what_goes_on_sending_once_answered_keeps_no_thread(patient: Service) -> None:
    """Eight threads that waited two seconds for each of these to close would take longer than anyone waits."""
    host, _, port = patient.stack.origin_url.removeprefix("http://").partition(":")
    connections = [socket.create_connection((host, int(port)), PATIENCE) for _ in range(200)]
    for connection in connections:
        connection.sendall(b"POST /nothing HTTP/1.1\r\nHost: x\r\n" + ENDLESS)
    assert patient.ask("GET", "/healthz", url=patient.stack.origin_url).status_code == 200
    for connection in connections:
        assert connection.recv(12) == b"HTTP/1.1 404"
        connection.close()


@pytest.mark.parametrize(
    ("start", "rest"),
    [
        (b"POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\n", b" " * 900_000),
        (b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n", b""),
    ],
    ids=["early", "head"],
)
def test_the_origin_does_not_end_the_connection_first(patient: Service, start: bytes, rest: bytes) -> None:
    """Pushpin 1.41 answers 502 if the end comes with an early response or one to HEAD, and may die of it."""
    host, _, port = patient.stack.origin_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), PATIENCE) as connection:
        connection.sendall(start)
        assert connection.recv(9) == b"HTTP/1.1 "
        connection.sendall(rest)
        assert not has_ended(connection)


def has_ended(connection: socket.socket) -> bool:
    """Whether the other side has closed; reads what it sent before."""
    connection.setblocking(False)
    try:
        while connection.recv(10_000):
            pass
    except BlockingIOError:
        return False
    return True


def test_slow_uploads_of_one_user_hold_up_nobody_else(patient: Service) -> None:
    """Fewer of them are collected than anything has places, and none of them by a thread."""
    with uploads(patient.stack, 40, READ, "mallory") as ends:
        wait_until(lambda: len(ends) == 40 - SHARE, PATIENCE, "more of them are waited for")
        assert {end.split(" ")[1] for end in ends} == {"429"}
        for _ in range(5):
            assert patient.ask("POST", READ, "other", json={"ids": [1]}).status_code == 200
        assert len(ends) == 40 - SHARE


def test_a_body_that_arrives_in_parts_is_answered_once(patient: Service) -> None:
    user = f"user-{uuid4().hex}"
    body = b'{"ids": [1' + b" " * 50_000 + b"]}"

    def parts() -> Iterator[bytes]:
        for first in range(0, len(body), 20_000):
            yield body[first : first + 20_000]
            time.sleep(2 * ARRIVES_AT_ONCE)  # so that it is not there at once

    headers = {"Content-Type": "application/json"}
    for more in ({"Content-Length": str(len(body))}, {}):
        for url in (patient.stack.url, patient.stack.origin_url):
            answer = patient.ask("POST", READ, user, url=url, content=parts(), headers=headers | more)
            assert (answer.status_code, answer.json()) == (200, {"updated": 0, "unread_count": 0})
