"""The Python client against a complete service: the same tests for the sync and the async one."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from shirase.access.tokens import ADMIN, WRITE
from shirase.client.async_client import AsyncClient
from shirase.client.client import Client, ClientError, StreamEvent
from tests.support.browser_like import Browsers
from tests.support.forwarder import Forwarder, Mode
from tests.support.loop_thread import LoopThread, wait_until
from tests.support.service import Service

WAIT = 20.0
Connect = Callable[..., Any]


class InThread:
    """An ``AsyncClient`` in a synchronous test: each call runs in the loop of another thread."""

    def __init__(self, client: AsyncClient, thread: LoopThread) -> None:
        self._client = client
        self._thread = thread

    def listen(self, *arguments: Any) -> Iterator[StreamEvent]:
        events = self._client.listen(*arguments)
        try:
            while True:
                yield self._thread.call(anext(events))
        except StopAsyncIteration:
            return
        finally:
            self._thread.call(events.aclose())

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._client, name)
        return lambda *positional, **named: self._thread.call(method(*positional, **named))


@pytest.fixture(params=["plain", "async"])
def connect(request: pytest.FixtureRequest, service: Service, browsers: Browsers) -> Iterator[Connect]:
    """Return a factory of clients of one kind: ``connect("42", WRITE)``."""
    opened = []

    def make(user: str, scope: str = "", url: str = "", **options: Any) -> Any:
        arguments = (url or service.stack.url, service.stack.token(user, scope))
        if request.param == "plain":
            opened.append(client := Client(*arguments, **options))
            return client
        opened.append(wrapped := InThread(AsyncClient(*arguments, **options), browsers))  # type: ignore[arg-type]
        return wrapped

    yield make
    for connection in opened:
        connection.close()


@pytest.fixture
def forwarder(service: Service, browsers: Browsers) -> Iterator[Forwarder]:
    """Start a forwarder between client and proxy."""
    forwarder = Forwarder(browsers, service.stack.proxies[0].client_port)
    yield forwarder
    forwarder.close()


@pytest.fixture
def user() -> str:
    return f"user-{uuid4().hex}"


def test_a_users_id_may_be_an_integer_or_a_uuid(connect: Connect) -> None:
    producer, uuid = connect("producer", f"{WRITE} {ADMIN}"), uuid4()
    number = uuid.int % 10**12
    assert producer.create(user_id=number, type="t", title="One", message="").user_id == str(number)
    assert producer.put(user_id=uuid, key="k", type="t", title="Keyed", message="").user_id == str(uuid)
    producer.retract("k", user_id=uuid)
    assert producer.broadcast([number, uuid], type="t", title="All", message="") == 2
    assert producer.change_members(f"topic-{number}", add=[number, uuid]) == (2, 0)
    assert [connect(str(item)).list().unread_count for item in (number, uuid)] == [2, 1]
    assert [producer.disconnect(item) for item in (number, uuid)] == [0, 0]


def test_listening_goes_on_from_a_page(connect: Connect, user: str) -> None:
    producer, own = connect("producer", WRITE), connect(user)
    producer.create(user_id=user, type="t", title="On the page", message="")
    page = own.list()
    producer.create(user_id=user, type="t", title="Behind it", message="")
    events = own.listen(page.cursor)
    assert [next(events).event, next(events).data["title"]] == ["connected", "Behind it"]
    events.close()


def test_create_batch_broadcast_list_read_and_delete(connect: Connect, user: str) -> None:
    producer, own, other = connect("producer", WRITE), connect(user), f"{user}-2"
    ends = datetime.now(UTC) + timedelta(days=1)
    earlier = producer.create(user_id=user, type="a.b", title="One", message="m", payload={"n": 1}, expires_at=ends)
    assert (earlier.user_id, earlier.title, earlier.payload, earlier.expires_at, earlier.is_read) == (
        user,
        "One",
        {"n": 1},
        ends,
        False,
    )
    later, three = producer.batch([{"user_id": user, "type": "c", "title": t, "message": ""} for t in ("Two", "Three")])
    assert producer.broadcast([user, other, user], type="d", title="All", message="") == 2

    page = own.list(limit=2)
    assert ([shown.title for shown in page.notifications], page.unread_count) == (["All", "Three"], 4)
    rest = own.list(before=page.next_before)
    assert [shown.id for shown in rest.notifications] == [later.id, earlier.id]
    assert rest.next_before is None
    assert [shown.title for shown in own.list(type="c", unread=True).notifications] == ["Three", "Two"]

    changed = own.read([earlier.id, later.id])
    assert (changed.updated, changed.unread_count) == (2, 2)
    assert own.get(earlier.id).is_read
    own.delete(three.id)
    assert own.unread_count() == 1
    assert own.read_all().updated == 1
    assert own.unread_count() == 0


def test_a_refusal_is_an_error_that_names_the_field(connect: Connect, user: str) -> None:
    with pytest.raises(ClientError) as caught:
        connect("producer", WRITE).create(user_id=user, type="not a type", title="t", message="")
    assert caught.value.status == 422
    assert [error.field for error in caught.value.errors] == ["type"]
    with pytest.raises(ClientError) as caught:
        connect(user).create(user_id=user, type="t", title="t", message="")
    assert caught.value.status == 403


@pytest.mark.parametrize("mode", [Mode.LOSE_ANSWER, Mode.REFUSE, Mode.CUT, Mode.FAIL])
def test_a_retried_create_is_never_doubled(
    connect: Connect, service: Service, forwarder: Forwarder, user: str, mode: Mode
) -> None:
    """The answer is lost, or the network is down: the client retries until it is repaired."""
    client = connect("producer", WRITE, url=forwarder.url)
    with ThreadPoolExecutor(1) as pool:
        forwarder.mode = mode
        creating: Future[Any] = pool.submit(client.create, user_id=user, type="t", title="once", message="")
        if mode is Mode.LOSE_ANSWER:
            wait_until(lambda: service.seqs_of(user), WAIT, "the first attempt has not gone through")
        forwarder.mode = Mode.PASS
        forwarder.cut()
        created = creating.result(WAIT)
    listed = service.ask("GET", "/api/notifications", user).json()["notifications"]
    assert [notification["id"] for notification in listed] == [created.id]


def test_an_unreachable_service_is_an_error_in_the_end(connect: Connect, forwarder: Forwarder, user: str) -> None:
    forwarder.mode = Mode.REFUSE
    client = connect("producer", WRITE, url=forwarder.url, attempts=2)
    with pytest.raises(ClientError, match="cannot be reached") as caught:
        client.create(user_id=user, type="t", title="t", message="")
    assert caught.value.status is None
    forwarder.mode = Mode.PASS
    repeated = {
        "user_id": user,
        "type": "t",
        "title": "t",
        "message": "",
        "idempotency_key": caught.value.idempotency_key,
    }
    assert client.create(**repeated).id == client.create(**repeated).id


def test_listen_reconnects_and_resumes(connect: Connect, service: Service, forwarder: Forwarder, user: str) -> None:
    events = (event for event in connect(user, url=forwarder.url).listen() if event.event != "heartbeat")
    first = next(events)
    assert (first.event, first.data["unread_count"]) == ("connected", 0)
    service.create(user, "live")
    live = next(events)
    assert live.notification is not None
    assert live.notification.title == "live"

    forwarder.mode = Mode.REFUSE
    forwarder.cut()
    for title in ("missed", "too"):
        service.create(user, title)
    forwarder.mode = Mode.PASS
    result = [next(events) for _ in range(3)]
    service.create(user, "live again")
    result.append(next(events))
    events.close()

    assert [event.event for event in result] == ["connected", *["notification"] * 3]
    assert [event.data["title"] for event in result[1:]] == ["missed", "too", "live again"]
    assert result[0].id == live.id


def test_listen_resumes_after_a_cursor(connect: Connect, service: Service, user: str) -> None:
    cursor = next(iter(connect(user).listen())).id
    service.create(user, "missed")
    events = connect(user).listen(cursor)
    assert [next(events).event for _ in range(2)] == ["connected", "notification"]
    events.close()


def test_listen_ends_when_refused(service: Service) -> None:
    with Client(service.stack.url, "no token") as client, pytest.raises(ClientError) as caught:
        next(client.listen())
    assert caught.value.status == 401


def test_a_token_is_requested_before_every_attempt(service: Service, forwarder: Forwarder, user: str) -> None:
    asked: list[str] = []

    def token() -> str:
        asked.append(service.stack.token(user))
        return asked[-1]

    with Client(forwarder.url, token) as client:
        events = client.listen()
        next(events)
        forwarder.cut()
        while next(events).event != "connected":
            pass
        events.close()
    assert len(asked) >= 2


def test_only_streams_pass_the_proxy_with_an_origin(service: Service) -> None:
    user, nowhere = f"user-{uuid4().hex}", "http://127.0.0.1:1"
    with Client(nowhere, service.stack.token("svc", WRITE), origin=service.stack.origin_url) as producer:
        created = producer.create(user_id=user, type="a.b", title="T", message="M")
    assert created
    with Client(service.stack.url, service.stack.token(user), origin=nowhere, attempts=1) as client:
        assert next(iter(client.listen())).event == "connected"
        with pytest.raises(ClientError):
            client.get(created.id)
