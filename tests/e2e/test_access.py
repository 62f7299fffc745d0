"""What clients can and cannot reach, through the proxy and directly."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import jwt
import pytest

from shirase.inbox.streams import NEXT_PATH
from shirase.proxy.grip import connection_channel, user_channel
from tests.support.browser_like import PATH
from tests.support.fragile import PAGE
from tests.support.service import Service

PROBLEM = "application/problem+json"


def user() -> str:
    return f"user-{uuid4().hex}"


def signature(key: str) -> str:
    return jwt.encode({"iss": "pushpin", "exp": 2**33}, key, algorithm="HS256")


@pytest.mark.parametrize("path", [PATH, "/api/notifications/poll"])
@pytest.mark.parametrize("headers", [{}, {"Grip-Sig": signature("x" * 32)}])
def test_a_stream_asked_for_without_the_proxy_is_501(service: Service, path: str, headers: dict[str, str]) -> None:
    answer = service.ask("GET", path, user(), url=service.stack.origin_url, headers=headers)

    assert answer.status_code == 501
    assert answer.headers["Content-Type"] == PROBLEM
    assert "proxy" in answer.json()["detail"]


def test_a_stream_without_a_token_is_401(service: Service) -> None:
    device = service.browsers.open(service.stack.url, "forged")
    device.wait(lambda seen: seen.done)
    assert device.refused == 401


def test_a_ticket_opens_one_stream_across_all_workers(service: Service) -> None:
    """Recoveries and continuations need no ticket: those requests are the proxy's own."""
    alice = user()
    service.create_batch(alice, [str(number) for number in range(PAGE + 5)])
    ticket = service.ask("POST", "/api/sse/tickets", alice).json()["ticket"]

    def attempts(count: int) -> list[int]:
        with ThreadPoolExecutor(count) as pool:
            return [answer.result() for answer in [pool.submit(attempt) for _ in range(count)]]

    def attempt() -> int:
        with service.http.stream("GET", f"{service.stack.url}{PATH}?ticket={ticket}") as answer:
            if answer.status_code == 200:
                assert next(line for line in answer.iter_lines() if line.startswith("data:")).count(alice)
            return answer.status_code

    assert sorted(attempts(12)) == [200] + [401] * 11


@pytest.mark.parametrize("path", [NEXT_PATH, f"{NEXT_PATH}/forged"])
@pytest.mark.parametrize("through_the_proxy", [True, False])
def test_the_next_link_is_closed_to_clients(service: Service, path: str, *, through_the_proxy: bool) -> None:
    """The proxy signs every request that it forwards, and strips a client's own Grip headers."""
    alice = user()
    service.create(alice, "secret")
    url = service.stack.url if through_the_proxy else service.stack.origin_url
    forged = {
        "Grip-Sig": signature("x" * 32),
        "Grip-Last": f"{user_channel(alice)}; last-id=0, {connection_channel('a' * 16)}; last-id=0",
    }

    for headers in ({}, forged):
        answer = service.ask("GET", path, alice, url=url, headers=headers)
        assert answer.status_code == 403
        assert answer.headers["Content-Type"] == PROBLEM
        assert "secret" not in answer.text


def test_a_client_cannot_forge_where_a_poll_was_held(service: Service) -> None:
    alice = user()
    service.create(alice, "before")

    last = {"Grip-Last": f"{user_channel(alice)}; last-id=0"}
    answer = service.ask("GET", "/api/notifications/poll", alice, params={"timeout": 1}, headers=last)

    assert answer.json()["events"] == []


@pytest.mark.parametrize(
    "path",
    ["/metrics", "/readyz", "//metrics", "/./metrics", "/%6detrics", "/api/../metrics", "/readyz/", "/metrics?x"],
)
def test_operator_paths_are_not_reachable_through_the_proxy(service: Service, path: str) -> None:
    answer = service.ask("GET", path)

    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == PROBLEM


def test_health_is_reached_through_the_proxy(service: Service) -> None:
    assert service.ask("GET", "/healthz").status_code == 200


def test_no_grip_header_reaches_a_client(service: Service) -> None:
    with service.http.stream("GET", f"{service.stack.url}{PATH}?token={service.stack.token(user())}") as answer:
        names = set(answer.headers)

    assert answer.status_code == 200
    assert not [name for name in names if name.startswith("grip")]
    assert answer.headers["Cache-Control"] == "no-store, no-transform"
    assert answer.headers["X-Accel-Buffering"] == "no"
    assert "gunicorn" not in answer.headers["Server"]
