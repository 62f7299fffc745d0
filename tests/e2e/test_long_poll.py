"""The long poll, the fallback where a middlebox buffers streams: the proxy holds it, no worker waits."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.conftest import MakeDatabase
from tests.support.browser_like import Browsers
from tests.support.fragile import PAGE, Fragile, fragile_service
from tests.support.loop_thread import wait_until
from tests.support.service import Service

POLL = "/api/notifications/poll"
LONG = 25  # seconds: answers arrive long before

Poller = Callable[..., "Future[Any]"]


def user() -> str:
    return f"user-{uuid4().hex}"


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(50) as running:
        yield running


@pytest.fixture
def poll(fragile: Fragile, pool: ThreadPoolExecutor) -> Poller:
    """Send a poll, and return once the origin has answered the proxy with a hold."""

    def ask(who: str, *, authorized: bool = True, **query: Any) -> "Future[Any]":
        held = sum(POLL.encode() in request for request in fragile.origin.answered) + 1
        query.setdefault("timeout", LONG)
        service = fragile.service
        options: dict[str, Any] = {"params": query, "timeout": 2 * LONG}
        if authorized:
            answer = pool.submit(lambda: service.ask("GET", POLL, who, **options).json())
        else:
            answer = pool.submit(lambda: service.http.get(f"{service.stack.url}{POLL}", **options).json())
        wait_until(
            lambda: sum(POLL.encode() in request for request in fragile.origin.answered) >= held, LONG, "not asked"
        )
        return answer

    return ask


def test_an_empty_poll_ends_at_its_timeout(service: Service) -> None:
    alice = user()
    service.create(alice)
    cursor = service.ask("GET", POLL, alice, params={"timeout": 1}).json()["cursor"]

    answer = service.ask("GET", POLL, alice, params={"timeout": 1, "after": cursor})

    assert answer.status_code == 200
    assert answer.json() == {"events": [], "cursor": cursor}


def test_a_poll_gets_what_was_missed_at_once_and_in_pages(service: Service) -> None:
    alice = user()
    cursor = service.ask("GET", POLL, alice, params={"timeout": 1}).json()["cursor"]
    titles = [str(number) for number in range(2 * PAGE + 50)]
    service.create_batch(alice, titles)

    pages: list[list[str]] = []
    while sum(map(len, pages)) < len(titles):
        answer = service.ask("GET", POLL, alice, params={"timeout": LONG, "after": cursor}).json()
        pages.append([event["data"]["title"] for event in answer["events"]])
        cursor = answer["cursor"]

    assert [len(page) for page in pages] == [PAGE, PAGE, 50]
    assert [title for page in pages for title in page] == titles


def test_a_poll_is_woken_by_an_event(fragile: Fragile, poll: Poller) -> None:
    service, alice = fragile.service, user()
    cursor = service.ask("GET", POLL, alice, params={"timeout": 1}).json()["cursor"]

    answer = poll(alice, after=cursor)
    assert not answer.done()
    created = service.create(alice, "news")

    woken = answer.result(LONG)
    assert [(event["event"], event["data"]) for event in woken["events"]] == [("notification", created)]
    assert woken["cursor"] == woken["events"][-1]["id"]


def test_a_first_poll_without_a_cursor_is_woken_too(fragile: Fragile, poll: Poller) -> None:
    service, alice = fragile.service, user()
    service.create(alice, "before")

    answer = poll(alice)
    service.create(alice, "news")

    assert [event["data"]["title"] for event in answer.result(LONG)["events"]] == ["news"]


def test_polls_of_many_users_are_never_mixed(fragile: Fragile, poll: Poller) -> None:
    service, users = fragile.service, [user() for _ in range(20)]

    answers = [poll(each) for each in users]
    for each in reversed(users):
        service.create(each, each)

    for each, answer in zip(users, answers, strict=True):
        assert [(event["data"]["title"], event["data"]["user_id"]) for event in answer.result(LONG)["events"]] == [
            (each, each)
        ]


def test_a_poll_and_a_stream_see_the_same(fragile: Fragile, poll: Poller) -> None:
    service, alice = fragile.service, user()
    device = service.open(alice)
    begin = device.received[0].id

    answer = poll(alice, after=begin)
    service.create_batch(alice, ["1", "2"])
    device.wait(lambda seen: len(seen.log) == 2)

    polled = answer.result(LONG)["events"]
    assert [(event["id"], event["event"], event["data"]) for event in polled] == [
        (event.id, event.event, event.json) for event in device.log
    ]


def test_a_poll_by_ticket_is_woken_though_the_proxy_repeats_it(fragile: Fragile, poll: Poller) -> None:
    service, alice = fragile.service, user()
    ticket = fragile.stack.ticket(alice)

    answer = poll(alice, ticket=ticket, authorized=False)
    service.create(alice, "news")

    assert [event["data"]["title"] for event in answer.result(LONG)["events"]] == ["news"]
    used = service.http.get(f"{service.stack.url}{POLL}", params={"ticket": ticket})
    assert used.status_code == 401


def test_a_poll_with_a_cursor_from_elsewhere_is_reset(service: Service) -> None:
    alice = user()
    service.create(alice)

    answer = service.ask("GET", POLL, alice, params={"timeout": LONG, "after": "nonsense"}).json()

    assert [event["event"] for event in answer["events"]] == ["reset"]
    assert answer["cursor"] == answer["events"][0]["id"]


@pytest.mark.parametrize("policy", ["evict-oldest", "reject"])
def test_polls_and_streams_share_one_limit(
    make_database: MakeDatabase, tmp_path: Path, browsers: Browsers, pool: ThreadPoolExecutor, policy: str
) -> None:
    env = {"SSE_MAX_CONNECTIONS_PER_USER": "3", "SSE_CONNECTION_LIMIT_POLICY": policy}
    with make_database("sqlite") as url, fragile_service(url, tmp_path, browsers, env) as running:
        service, alice = running.service, user()

        def held() -> int:
            user_connections: int = service.ask("GET", "/api/sse/status", alice).json()["user_connections"]
            return user_connections

        def ask() -> "Future[Any]":
            return pool.submit(service.ask, "GET", POLL, alice, params={"timeout": LONG}, timeout=2 * LONG)

        polls = []
        for number in range(3):
            polls.append(ask())
            wait_until(lambda number=number: held() == number + 1, LONG, "the poll is not counted")  # type: ignore[misc]
        wait_until(
            lambda: sum(POLL.encode() in exchange for exchange in running.origin.answered) >= 6, LONG, "not asked again"
        )  # the proxy repeats each
        assert not any(each.done() for each in polls)
        assert held() == 3
        others = [ask() for _ in range(5)]
        wait_until(lambda: sum(each.done() for each in [*polls, *others]) == 5, LONG, "nobody gives way")
        assert policy == "evict-oldest" or all(each.done() for each in others)
        answers = [each.result() for each in [*polls, *others] if each.done()]
        assert {(answer.status_code, "Retry-After" in answer.headers) for answer in answers} == {(429, True)}
        assert held() == 3
        service.create(alice)
        for each in [*polls, *others]:
            assert each.result(2 * LONG).status_code in (200, 429)
        wait_until(lambda: held() == 0, LONG, "polls that were answered are still counted")
