"""The promises inside a host's application: the Flask, Django and FastAPI examples, behind a real Pushpin."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import MakeDatabase
from tests.support.browser_like import Browsers
from tests.support.forwarder import Mode
from tests.support.hosts import START_TIMEOUT, Host, djangos
from tests.support.kills import REPEATED, kill_around_commits
from tests.support.loop_thread import wait_until
from tests.support.town import HOSTS, PAGE, USERS, Town, town

KILLS = 10
NEXT = b"/inbox/api/sse/next "
WAIT = 20.0


@pytest.fixture(scope="module", params=djangos(), ids=lambda version: version[0])
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


@pytest.fixture(params=HOSTS)
def host(request: pytest.FixtureRequest, built: Town) -> Iterator[Host]:
    host = built.hosts[request.param]
    yield host
    while host.devices:
        host.devices.pop().close()


@pytest.fixture
def user(request: pytest.FixtureRequest) -> str:
    """Return a user that only this test uses, and with one host: those of Flask and FastAPI have the same ids."""
    hosts, tests = HOSTS.index(request.node.callspec.params["host"]), TESTS.index(request.function.__name__)
    return USERS[1 + len(TESTS) * hosts + tests]


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
        device.wait(lambda seen: seen.seqs[-1:] == stored[-1:])
        assert device.seqs == stored[-len(device.seqs) :]
        assert len(device.seqs) == 20
        assert device.connections == 1


def test_nothing_lost_while_the_control_port_is_down(built: Town, host: Host, browsers: Browsers, user: str) -> None:
    """The publish after the commit fails: the relay must repair it."""
    device = host.open(browsers, user)
    built.control.mode = Mode.REFUSE
    host.schedule(user, "left behind")
    built.control.mode = Mode.PASS
    device.wait(lambda seen: seen.titles == ["left behind"])
    assert device.connections == 1


def test_nothing_lost_after_more_than_a_page_was_missed(built: Town, host: Host, browsers: Browsers, user: str) -> None:
    device = host.open(browsers, user, reconnect=False)
    device.drop()
    missed = [f"missed {number}" for number in range(3 * PAGE)]
    built.service.create_batch(host.ids[user], missed)
    again = host.open(browsers, user, cursor=device.received[0].id)
    host.schedule(user, "live")
    again.wait(lambda seen: seen.titles[-1:] == ["live"])
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
    device.wait(lambda seen: seen.titles[-1:] == ["last"])
    assert device.titles == ["0", "1", "2", "last"]
    assert len(set(device.seqs)) == 4


def test_no_polling_while_a_stream_is_idle(built: Town, host: Host, browsers: Browsers, user: str) -> None:
    passage = next(passage for name, passage in built.ways.items() if built.hosts[name] is host)
    before = len(passage.answered)
    device = host.open(browsers, user)
    # Pushpin reads a new stream again within about a second.
    wait_until(
        lambda: any(NEXT in exchange for exchange in passage.answered[before:]),
        WAIT,
        "it did not read the stream again",
    )
    asked = len(passage.requests)  # not those that have ended: uvicorn keeps a connection for seconds after its answer
    beats = len(device.named("heartbeat"))
    device.wait(lambda seen: len(seen.named("heartbeat")) >= beats + 4)
    assert len(passage.requests) == asked


def test_workers_of_the_host_do_not_matter(host: Host, browsers: Browsers, user: str) -> None:
    device = host.open(browsers, user)
    host.schedule(user, "before")
    host.kill_workers()
    host.schedule(user, "after")
    device.wait(lambda seen: len(seen.titles) >= 2)
    assert device.titles == ["before", "after"]
    assert (device.open, device.connections, device.failures) == (True, 1, 0)


def test_a_hosts_inbox_and_the_services_are_the_same(built: Town, host: Host, browsers: Browsers, user: str) -> None:
    own = host.ids[user]
    through_host, through_service = host.open(browsers, user), built.service.open(own)
    host.schedule(user, "by the host")
    created = built.service.create(own, "by the service")
    for device in (through_host, through_service):
        device.wait(lambda seen: len(seen.titles) == 2)
        assert device.titles == ["by the host", "by the service"]

    page = host.ask("GET", "/api/notifications?limit=1", user).json()
    assert (page["notifications"], page["unread_count"]) == ([created], 2)
    older = host.ask("GET", f"/api/notifications?before={page['next_before']}", user).json()["notifications"]
    assert [notification["title"] for notification in older] == ["by the host"]
    assert host.ask("GET", f"/api/notifications/{created['id']}", user).json() == created

    assert host.ask("POST", "/api/notifications/read", user, json={"ids": [created["id"]]}).json() == {
        "updated": 1,
        "unread_count": 1,
    }
    assert host.ask("DELETE", f"/api/notifications/{created['id']}", user).status_code == 204
    assert host.ask("POST", "/api/notifications/read-all", user).json() == {"updated": 1, "unread_count": 0}
    assert host.ask("GET", "/api/notifications/unread-count", user).json() == {"unread_count": 0}
    through_service.wait(lambda seen: len(seen.log) == 5)
    assert [event.event for event in through_service.log[2:]] == ["read", "deleted", "read"]
    status = host.ask("GET", "/api/sse/status", user).json()
    assert (status["user_connections"], status["status"]) == (2, "active")


def test_a_long_poll_through_a_host(built: Town, host: Host, user: str) -> None:
    first = host.ask("GET", "/api/notifications/poll?timeout=1", user).json()
    host.schedule(user, "polled")
    second = host.ask("GET", f"/api/notifications/poll?timeout=20&after={first['cursor']}", user).json()
    assert [event["data"]["title"] for event in second["events"]] == ["polled"]
    assert built.service.ask("GET", f"/api/notifications/poll?after={first['cursor']}", host.ids[user]).json() == second


@pytest.mark.timeout(KILLS * START_TIMEOUT)
def test_a_notification_arrives_iff_the_hosts_row_is_committed(built: Town, host: Host, browsers: Browsers) -> None:
    """A short run of ``python -m tests.support.kills --kills 200``."""
    name = next(name for name, item in built.hosts.items() if item is host)
    result = kill_around_commits(name, host, browsers, built.service.database, KILLS, seed=1)
    assert result.holds, result
    assert result.unanswered, result
    assert name in REPEATED or result.hit_both_sides, result


TESTS = sorted(name for name in globals() if name.startswith("test_"))
