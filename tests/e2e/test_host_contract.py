"""One contract for every host: what its inbox answers over HTTP, black-box, under its usual server behind Pushpin."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import MakeDatabase
from tests.support.browser_like import Browsers
from tests.support.hosts import Host
from tests.support.town import HOSTS, MOST, USERS, Town, town

JSON = {"Content-Type": "application/json"}
PROBLEM = "application/problem+json"
MIB = 1024 * 1024
STREAM = "/api/sse/notifications"
LIST, READ, READ_ALL = "/api/notifications", "/api/notifications/read", "/api/notifications/read-all"


@pytest.fixture(scope="module")
def built(make_database: MakeDatabase, tmp_path_factory: pytest.TempPathFactory, browsers: Browsers) -> Iterator[Town]:
    with make_database("postgresql") as url, town(url, tmp_path_factory.mktemp("town"), browsers, None) as made:
        yield made


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest, built: Town) -> Iterator[Host]:
    host = built.hosts[request.param]
    yield host
    while host.devices:
        host.devices.pop().close()


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """A user of each test's own."""
    return USERS[1 + TESTS.index(request.function.__name__)]


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, PROBLEM), answer.text
    body: dict[str, Any] = answer.json()
    assert body["status"] == status
    return body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", LIST, 401),
        ("GET", STREAM, 401),
        ("GET", "/api/notifications/poll", 401),
        ("POST", READ, 401),
        ("DELETE", "/api/notifications/1", 401),
        ("POST", LIST, 401),
        ("GET", "/api/sse/next", 403),
        ("GET", "/api/sse/next/x", 403),
    ],
)
def test_a_request_without_a_sign_in_is_refused(host: Host, method: str, path: str, status: int) -> None:
    with httpx.Client(trust_env=False) as http:
        answer = http.request(method, host.inbox + path, headers={"Grip-Last": "u-YQ; last-id=0,c-1; last-id=0"})
    problem(answer, status)
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "field"),
    [
        ("POST", READ, {"json": {"ids": []}}, 422, "ids"),
        ("POST", READ, {"json": {"ids": ["x"]}}, 422, "ids[0]"),
        ("POST", READ, {"json": {"ids": [1], "more": 1}}, 422, "more"),
        ("POST", READ, {"content": b"{", "headers": JSON}, 400, None),
        ("POST", READ, {"content": b'{"ids": [1], "ids": [2]}', "headers": JSON}, 400, None),
        ("POST", READ, {"content": b"{}"}, 415, None),
        ("POST", READ, {"content": b" " * (MIB + 1), "headers": JSON}, 413, None),
        ("GET", f"{LIST}?limit=0", {}, 422, "limit"),
        ("GET", f"{LIST}?limit=1&limit=2", {}, 422, "limit"),
        ("GET", f"{LIST}?before=x", {}, 422, "before"),
        ("GET", "/api/notifications/poll?timeout=0", {}, 422, "timeout"),
        ("GET", "/api/notifications/999999999", {}, 404, None),
        ("GET", "/api/notifications/99999999999999999999", {}, 404, None),
        ("PATCH", READ, {}, 405, None),
        ("DELETE", LIST, {}, 405, None),
        ("GET", "/api/notifications/1/trace", {}, 403, None),
    ],
)
def test_a_wrong_request_is_answered_alike(
    host: Host, method: str, path: str, options: dict[str, Any], status: int, field: str | None
) -> None:
    answer = host.ask(method, path, USERS[1], **options)
    result = [error["field"] for error in problem(answer, status).get("errors", [])]
    assert result == ([field] if field else [])
    assert ("Allow" in answer.headers) == (status == 405)


def test_every_answer_carries_the_same_headers(host: Host, user: str) -> None:
    for method, path in (("GET", LIST), ("GET", "/api/notifications/0"), ("PUT", LIST), ("GET", "/api/sse/status")):
        headers = host.ask(method, path, user).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert len(headers["X-Request-Id"]) == 16
        assert not [name for name in headers if name.lower().startswith("grip-")]


def test_another_users_notification_is_neither_shown_nor_changed(built: Town, host: Host, user: str) -> None:
    created = built.service.create(host.ids[USERS[2]], "private")
    path = f"{LIST}/{created['id']}"
    problem(host.ask("GET", path, user), 404)
    problem(host.ask("DELETE", path, user), 404)
    assert host.ask("POST", READ, user, json={"ids": [created["id"]]}).json() == {"updated": 0, "unread_count": 0}
    assert not host.ask("GET", path, USERS[2]).json()["is_read"]


@pytest.mark.parametrize("headers", [{"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example.com"}])
def test_pages_of_other_sites_change_and_open_nothing(host: Host, headers: dict[str, str]) -> None:
    for method, path in (("POST", READ_ALL), ("GET", LIST), ("GET", STREAM), ("DELETE", "/api/notifications/1")):
        problem(host.ask(method, path, USERS[1], headers=headers), 403)


def test_a_page_of_the_hosts_own_changes_something(host: Host, user: str) -> None:
    answer = host.ask("POST", READ_ALL, user, headers={"Sec-Fetch-Site": "same-origin"})
    assert (answer.status_code, answer.json()["unread_count"]) == (200, 0)


def test_a_users_sign_in_creates_nothing(host: Host, user: str) -> None:
    body = {"user_id": host.ids[user], "type": "t", "title": "t", "message": ""}
    problem(host.ask("POST", LIST, user, json=body), 403)


def test_a_stream_needs_the_proxy(host: Host, user: str) -> None:
    path = f"{urlsplit(host.inbox).path}{STREAM}"
    answer = httpx.get(f"http://{host.address}{path}", headers={"Cookie": host.cookies[user]}, trust_env=False)
    problem(answer, 501)


def test_a_foreign_cursor_gets_a_reset(host: Host, browsers: Browsers, user: str) -> None:
    device = host.open(browsers, user, cursor="0000000000-7")
    device.wait(lambda seen: seen.named("reset"))
    host.schedule(user, "after it")
    device.wait(lambda seen: seen.titles == ["after it"])


def test_one_stream_too_many_ends_the_oldest(host: Host, browsers: Browsers, user: str) -> None:
    devices = [host.open(browsers, user, reconnect=False) for _ in range(MOST + 1)]
    devices[0].wait(lambda seen: seen.named("closing"))
    assert devices[0].named("closing")[0].json == {"reason": "connection-limit", "reconnect": False}
    host.schedule(user, "to the others")
    for device in devices[1:]:
        device.wait(lambda seen: seen.titles == ["to the others"])


def test_head_is_answered_and_not_held(host: Host, user: str) -> None:
    assert host.ask("HEAD", LIST, user).status_code == 200
    assert host.ask("HEAD", STREAM, user).content == b""
    assert host.ask("GET", "/api/sse/status", user).json()["user_connections"] == 0


def test_unknown_parameters_of_the_stream_are_ignored(host: Host, user: str) -> None:
    first = host.ask("GET", "/api/notifications/poll?timeout=1&_=123", user)
    assert first.status_code == 200, first.text


TESTS = sorted(name for name in globals() if name.startswith("test_"))
