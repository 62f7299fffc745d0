"""The promises inside a host's application: the Flask and the Django example under gunicorn, behind a real Pushpin."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conftest import MakeDatabase
from tests.support.browser_like import Browsers
from tests.support.forwarder import Forwarder, Mode
from tests.support.fragile import HEARTBEAT
from tests.support.hosts import INBOXES, Host, django_host, djangos, flask_host, mounts
from tests.support.kills import USER, kill_around_commits
from tests.support.loop_thread import wait_until
from tests.support.service import Service, service
from tests.support.stack import Stack

USERS = [USER, *(f"user{number}" for number in range(20))]
KILLS = 10
NEXT = b"/inbox/api/sse/next "
WAIT = 20.0
PAGE = 5  # missed events in one response


@dataclass(frozen=True)
class Town:
    """A service and both applications on one database, behind one Pushpin."""

    service: Service
    control: Forwarder  # in front of the control port
    hosts: dict[str, Host]
    ways: dict[str, Forwarder]  # between Pushpin and each host


@contextmanager
def town(url: str, data_dir: Path, browsers: Browsers, packages: Path | None) -> Iterator[Town]:
    places, ways = mounts(), {}
    for prefix, address in places.items():
        ways[prefix] = Forwarder(browsers, int(address.rpartition(":")[2]))
    control = Forwarder(browsers)
    stack = Stack(
        url,
        data_dir,
        env={
            "SSE_KEEPALIVE_TIMEOUT": str(HEARTBEAT),
            "SSE_QUEUE_SIZE": str(PAGE),
            "GRIP_URL": control.url,
            "PUBLISH_TIMEOUT": "1",
        },
        mounts={prefix: way.address for prefix, way in ways.items()},
        inboxes=INBOXES,
    )
    control.target_port = stack.proxies[0].control_port
    with ExitStack() as started:
        for forwarder in (control, *ways.values()):
            started.callback(forwarder.close)
        running = started.enter_context(stack)
        hosts = {
            "flask": started.enter_context(flask_host(running, places["/hiring/"], USERS)),
            "django": started.enter_context(django_host(running, places["/site/"], USERS, packages)),
        }
        named = {"flask": ways["/hiring/"], "django": ways["/site/"]}
        yield Town(started.enter_context(service(running, browsers)), control, hosts, named)


@pytest.fixture(scope="module", params=djangos(), ids=lambda found: found[0])
def built(
    request: pytest.FixtureRequest,
    make_database: MakeDatabase,
    tmp_path_factory: pytest.TempPathFactory,
    browsers: Browsers,
) -> Iterator[Town]:
    """Start on PostgreSQL; the tests of notify cover what differs on SQLite."""
    with (
        make_database("postgresql") as url,
        town(url, tmp_path_factory.mktemp("town"), browsers, request.param[1]) as made,
    ):
        yield made


@pytest.fixture(params=["flask", "django"])
def host(request: pytest.FixtureRequest, built: Town) -> Iterator[Host]:
    found = built.hosts[request.param]
    yield found
    while found.devices:
        found.devices.pop().close()


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """Return a user that only this test uses."""
    return USERS[1 + TESTS.index(request.function.__name__)]


def test_order_of_what_a_host_and_the_service_write_at_once(
    built: Town, host: Host, browsers: Browsers, user: str
) -> None:
    own = host.ids[user]
    devices = [host.open(browsers, user) for _ in range(2)] + [built.service.open(own)]
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda number: host.schedule(user, f"h{number}"), range(10)))
        list(pool.map(lambda number: built.service.create(own, f"s{number}"), range(10)))
    stored = built.service.seqs_of(own)
    for device in devices:
        device.wait(lambda one: one.seqs[-1:] == stored[-1:])
        assert device.seqs == stored[-len(device.seqs) :]
        assert len(device.seqs) == 20
        assert device.connections == 1


def test_nothing_lost_while_the_control_port_is_down(built: Town, host: Host, browsers: Browsers, user: str) -> None:
    """The publish after the commit fails: the relay must repair it."""
    device = host.open(browsers, user)
    built.control.mode = Mode.REFUSE
    host.schedule(user, "left behind")
    built.control.mode = Mode.PASS
    device.wait(lambda one: one.titles == ["left behind"])
    assert device.connections == 1


def test_nothing_lost_after_more_than_a_page_was_missed(built: Town, host: Host, browsers: Browsers, user: str) -> None:
    device = host.open(browsers, user, reconnect=False)
    device.drop()
    missed = [f"missed {number}" for number in range(3 * PAGE)]
    built.service.create_batch(host.ids[user], missed)
    again = host.open(browsers, user, cursor=device.received[0].id)
    host.schedule(user, "live")
    again.wait(lambda one: one.titles[-1:] == ["live"])
    assert again.titles == [*missed, "live"]
    assert again.connections == 1


def test_nothing_twice_when_answers_to_publishes_are_lost(
    built: Town, host: Host, browsers: Browsers, user: str
) -> None:
    device = host.open(browsers, user)
    built.control.mode = Mode.LOSE_ANSWER
    for number in range(3):
        host.schedule(user, str(number))
    built.control.mode = Mode.PASS
    host.schedule(user, "last")
    device.wait(lambda one: one.titles[-1:] == ["last"])
    assert device.titles == ["0", "1", "2", "last"]
    assert len(set(device.seqs)) == 4


def test_no_polling_while_a_stream_is_idle(built: Town, host: Host, browsers: Browsers, user: str) -> None:
    way = built.ways["flask" if host.url.endswith("/hiring/") else "django"]
    before = len(way.answered)
    device = host.open(browsers, user)
    # Pushpin reads a new stream again within about a second.
    wait_until(lambda: any(NEXT in one for one in way.answered[before:]), WAIT, "it did not read the stream again")
    asked = len(way.answered)
    beats = len(device.named("heartbeat"))
    device.wait(lambda one: len(one.named("heartbeat")) >= beats + 4)
    assert len(way.answered) == asked


def test_workers_of_the_host_do_not_matter(host: Host, browsers: Browsers, user: str) -> None:
    device = host.open(browsers, user)
    host.schedule(user, "before")
    host.kill_workers()
    host.schedule(user, "after")
    device.wait(lambda one: len(one.titles) >= 2)
    assert device.titles == ["before", "after"]
    assert (device.open, device.connections, device.failures) == (True, 1, 0)


def test_a_hosts_inbox_and_the_services_are_the_same(built: Town, host: Host, browsers: Browsers, user: str) -> None:
    own = host.ids[user]
    through_host, through_service = host.open(browsers, user), built.service.open(own)
    host.schedule(user, "by the host")
    created = built.service.create(own, "by the service")
    for device in (through_host, through_service):
        device.wait(lambda one: len(one.titles) == 2)
        assert device.titles == ["by the host", "by the service"]

    page = host.ask("GET", "/api/notifications?limit=1", user).json()
    assert (page["notifications"], page["unread_count"]) == ([created], 2)
    older = host.ask("GET", f"/api/notifications?before={page['next_before']}", user).json()["notifications"]
    assert [one["title"] for one in older] == ["by the host"]
    assert host.ask("GET", f"/api/notifications/{created['id']}", user).json() == created

    assert host.ask("POST", "/api/notifications/read", user, json={"ids": [created["id"]]}).json() == {
        "updated": 1,
        "unread_count": 1,
    }
    assert host.ask("DELETE", f"/api/notifications/{created['id']}", user).status_code == 204
    assert host.ask("POST", "/api/notifications/read-all", user).json() == {"updated": 1, "unread_count": 0}
    assert host.ask("GET", "/api/notifications/unread-count", user).json() == {"unread_count": 0}
    through_service.wait(lambda one: len(one.log) == 5)
    assert [one.event for one in through_service.log[2:]] == ["read", "deleted", "read"]
    status = host.ask("GET", "/api/sse/status", user).json()
    assert (status["user_connections"], status["status"]) == (2, "active")


def test_a_long_poll_through_a_host(built: Town, host: Host, user: str) -> None:
    first = host.ask("GET", "/api/notifications/poll?timeout=1", user).json()
    host.schedule(user, "polled")
    second = host.ask("GET", f"/api/notifications/poll?timeout=20&after={first['cursor']}", user).json()
    assert [event["data"]["title"] for event in second["events"]] == ["polled"]
    assert built.service.ask("GET", f"/api/notifications/poll?after={first['cursor']}", host.ids[user]).json() == second


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/notifications", 401),
        ("GET", "/api/sse/notifications", 401),
        ("POST", "/api/notifications/read", 401),
        ("GET", "/api/sse/next", 403),
        ("GET", "/api/sse/next/x", 403),
    ],
)
def test_without_a_sign_in_there_is_no_stream(host: Host, method: str, path: str, status: int) -> None:
    with httpx.Client(trust_env=False) as http:
        answer = http.request(method, host.inbox + path, headers={"Grip-Last": "u-YQ; last-id=0,c-1; last-id=0"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/problem+json")


def test_a_wrong_request_names_the_field(host: Host, user: str) -> None:
    for method, path, options, status, field in (
        ("POST", "/api/notifications/read", {"json": {"ids": []}}, 422, "ids"),
        ("GET", "/api/notifications?limit=0", {}, 422, "limit"),
        (
            "POST",
            "/api/notifications/read",
            {"content": b"{", "headers": {"Content-Type": "application/json"}},
            400,
            None,
        ),
        ("POST", "/api/notifications/read", {"content": b"{}"}, 415, None),
        ("GET", "/api/notifications/999999999", {}, 404, None),
    ):
        answer = host.ask(method, path, user, **options)
        assert answer.status_code == status, answer.text
        assert [error["field"] for error in answer.json().get("errors", [])] == ([field] if field else [])


def test_a_stream_needs_the_proxy_and_a_page_of_the_hosts(host: Host, user: str) -> None:
    past_the_proxy = httpx.get(
        f"http://{host.address}{urlsplit(host.inbox).path}/api/sse/notifications",
        headers={"Cookie": host.cookies[user]},
    )
    assert past_the_proxy.status_code == 501
    elsewhere = host.ask("GET", "/api/sse/notifications", user, headers={"Sec-Fetch-Site": "cross-site"})
    assert elsewhere.status_code == 403


def test_a_notification_arrives_iff_the_hosts_row_is_committed(built: Town, host: Host, browsers: Browsers) -> None:
    """A short run of ``python -m tests.support.kills --kills 200``."""
    name = next(name for name, one in built.hosts.items() if one is host)
    found = kill_around_commits(name, host, browsers, built.service.database, KILLS, seed=1)
    assert found.holds, found
    assert found.hit_both_sides, found


TESTS = sorted(name for name in globals() if name.startswith("test_"))
