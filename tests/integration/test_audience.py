"""An event is posted to the nodes that hold its user's streams, and none is lost, whatever the order of the steps."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from shirase.errors import DatabaseUnavailable
from shirase.inbox import audience as audiences
from shirase.inbox import connections, inbox, notifications, replay, streams
from shirase.proxy import grip
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import audience, log, missed, registry
from shirase.store import connections as table
from shirase.store.database import Database
from shirase.types import Draft, EventId, Position, StreamConnection
from tests.support.content import content
from tests.support.control_port import ControlPort, control_port
from tests.support.interleavings import interleavings

USER = "42"
AN_HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def both_ports() -> Iterator[list[ControlPort]]:
    with ExitStack() as running:
        yield [running.enter_context(control_port()) for _ in range(2)]


@pytest.fixture
def ports(both_ports: list[ControlPort]) -> list[ControlPort]:
    for port in both_ports:
        port.posts.clear()
        port.behaviour = "accept"
    return both_ports


@pytest.fixture
def wired(settings: Settings, ports: list[ControlPort]) -> Settings:
    return replace(settings, grip_url=tuple(port.url for port in ports))


@pytest.fixture
def publisher(wired: Settings) -> Publisher:
    return Publisher(wired)


def mark(database: Database, *names: str) -> None:
    with database.transaction() as db:
        for name in names:
            audience.mark(db, name, datetime.now(UTC) + AN_HOUR)


def enter(database: Database, node: str | None, connection_id: str = "c1", user: str = USER) -> None:
    with database.transaction() as db:
        table.add(db, StreamConnection(connection_id, user, node=node), datetime.now(UTC))


def set_gone(database: Database, ago: timedelta, connection_id: str = "c1") -> None:
    with database.transaction() as db:
        registry.departed(db, [connection_id], datetime.now(UTC) - ago)


def create(database: Database, publisher: Publisher, *users: str) -> None:
    drafts = [Draft(user, content()) for user in users or [USER]]
    notifications.create(database, publisher, drafts, answer=lambda _: "")


def got(ports: list[ControlPort]) -> list[int]:
    return [len(port.items) for port in ports]


# --- which nodes ------------------------------------------------------------------------------------------------


def test_an_event_goes_to_the_nodes_with_the_users_streams(
    database: Database, publisher: Publisher, ports: list[ControlPort]
) -> None:
    mark(database, *publisher.nodes)
    create(database, publisher)
    assert got(ports) == [0, 0]
    enter(database, ports[1].url)
    create(database, publisher)
    assert got(ports) == [0, 1]
    enter(database, ports[0].url, "c2")
    create(database, publisher)
    assert got(ports) == [1, 2]
    with database.autocommit() as db:
        waiting = db.execute(text("SELECT count(*) FROM shirase_events WHERE published_at IS NULL")).scalar_one()
    assert waiting == 0


def test_a_broadcast_posts_to_each_node_its_own_users_events(
    database: Database, publisher: Publisher, ports: list[ControlPort]
) -> None:
    mark(database, *publisher.nodes)
    enter(database, ports[0].url, "c1", "a")
    enter(database, ports[1].url, "c2", "b")
    enter(database, None, "c3", "c")
    create(database, publisher, "a", "b", "c", "d")
    channels = [[item["channel"] for item in port.items] for port in ports]
    assert channels == [
        [grip.user_channel("a"), grip.user_channel("c")],
        [grip.user_channel("b"), grip.user_channel("c")],
    ]


@pytest.fixture
def alone(settings: Settings, ports: list[ControlPort]) -> Publisher:
    """Of a single node."""
    return Publisher(replace(settings, grip_url=(ports[0].url,)))


def test_a_single_node_gets_of_a_broadcast_what_is_received(
    database: Database, alone: Publisher, ports: list[ControlPort]
) -> None:
    users = [f"user-{number}" for number in range(audiences.MANY)]
    mark(database, *alone.nodes)
    enter(database, ports[0].url, "c1", users[3])
    enter(database, None, "c2", users[5])
    create(database, alone, *users)
    assert [item["channel"] for item in ports[0].items] == [grip.user_channel(users[3]), grip.user_channel(users[5])]
    with database.autocommit() as db:
        assert log.outbox(db)[0] == 0


def test_without_a_mark_a_single_node_gets_all_of_it(
    database: Database, alone: Publisher, ports: list[ControlPort]
) -> None:
    users = [f"user-{number}" for number in range(audiences.MANY)]
    create(database, alone, *users)
    assert [item["channel"] for item in ports[0].items] == [grip.user_channel(user) for user in users]


def test_a_single_node_gets_the_events_of_few_users(
    database: Database, alone: Publisher, ports: list[ControlPort]
) -> None:
    """Their posts cost less than the query would."""
    mark(database, *alone.nodes)
    create(database, alone, "a", "b")
    assert len(ports[0].items) == 2


def test_states_and_closings_go_to_the_same_nodes(
    database: Database, publisher: Publisher, ports: list[ControlPort]
) -> None:
    mark(database, *publisher.nodes)
    enter(database, ports[1].url)
    create(database, publisher)
    inbox.mark_read(database, publisher, USER, None)
    assert connections.revoke(database, publisher, USER) == 1
    assert got(ports) == [0, 4]  # the notification, its read, and the two items of a closing
    with database.autocommit() as db:
        assert table.unsent_closings(db, 10) == []


@pytest.mark.parametrize("reason", ["no mark", "an old mark", "no row's node", "an unknown node", "names of two kinds"])
def test_where_the_nodes_are_unknown_all_get_an_event(
    database: Database, wired: Settings, ports: list[ControlPort], reason: str
) -> None:
    names = [port.url for port in ports]
    mark(database, *(names[:1] if reason == "no mark" else names))
    enter(database, {"no row's node": None, "an unknown node": "http://127.0.0.9:1"}.get(reason, names[0]))
    if reason == "an old mark":
        with database.transaction() as db:
            assert audience.confirm(db, names[1], datetime.now(UTC) - audience.LASTS)
    if reason == "names of two kinds":  # the first has another meaning on each host
        wired = replace(wired, grip_url=(*wired.grip_url, "http://192.0.2.1:5561"), publish_timeout=0.3)
    create(database, Publisher(wired))
    assert got(ports) == [1, 1]


def test_rows_that_are_lost_take_the_marks_with_them(
    database: Database, publisher: Publisher, ports: list[ControlPort]
) -> None:
    mark(database, *publisher.nodes)
    enter(database, ports[0].url)
    with database.transaction() as db:
        db.execute(text("DELETE FROM shirase_connections"))
    create(database, publisher)
    assert got(ports) == [1, 1]
    with database.transaction() as db:
        assert not audience.confirm(db, ports[0].url, datetime.now(UTC))


def test_marks_count_as_nobodys_connections(database: Database, publisher: Publisher) -> None:
    mark(database, *publisher.nodes)
    with database.transaction() as db:
        assert table.totals(db) == (0, 0)
        assert registry.open_by_node(db) == {}
        assert registry.remove_old(db, datetime.now(UTC), datetime.now(UTC), 10) == 0


def test_a_row_counts_for_a_while_after_it_was_marked_as_gone(
    database: Database, publisher: Publisher, ports: list[ControlPort]
) -> None:
    mark(database, *publisher.nodes)
    enter(database, ports[0].url)
    set_gone(database, timedelta())
    create(database, publisher)
    assert got(ports) == [1, 0]
    enter(database, ports[0].url)
    set_gone(database, audience.RECENT)
    create(database, publisher)
    assert got(ports) == [1, 0]


def test_a_database_that_stopped_answering_makes_it_all_nodes(
    database: Database, publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise DatabaseUnavailable("the database does not answer")

    monkeypatch.setattr(audience, "read", fail)
    assert audiences.of(database, publisher, [USER]) == {USER: frozenset(publisher.nodes)}


def test_an_event_for_a_failing_node_waits_apart_from_the_outbox(
    database: Database, publisher: Publisher, ports: list[ControlPort]
) -> None:
    mark(database, *publisher.nodes)
    enter(database, ports[0].url)
    ports[0].behaviour = "fail"
    create(database, publisher)
    with database.autocommit() as db:
        assert missed.of_node(db, ports[0].url, 10) == {USER: 1}
        assert db.execute(text("SELECT count(*) FROM shirase_events WHERE published_at IS NULL")).scalar_one() == 0


# --- in whatever order ------------------------------------------------------------------------------------------


@dataclass
class Race:
    """A connect on the first node, and a create, of a user with some events."""

    database: Database
    settings: Settings
    port: ControlPort
    user: str
    before: EventId
    connection_id: str
    others: Sequence[str] = ()  # further users of the create
    answer: streams.Answer | None = None

    def open(self) -> None:
        self.answer = streams.open_stream(self.database, self._publisher(), self.settings, self._connection(), None)

    def recover(self) -> None:
        last = grip.Last(self.user, self.connection_id, self.before)
        self.answer = streams.recover(self.database, self._publisher(), self.settings, last, node=self.port.url)

    def poll(self) -> None:
        counted = self._publisher(), self._connection()
        self.answer = streams.poll(self.database, self.settings, self.user, None, 25, None, counted)

    def create(self) -> None:
        create(self.database, self._publisher(), self.user, *self.others)

    def is_kept(self) -> bool:
        """Whether the event was posted to the node, or is not after the place where the response is held."""
        assert self.answer
        channel = grip.user_channel(self.user)
        held = re.search(rf"{channel}; prev-id=([0-9]+)", self.answer.headers("GET")["Grip-Channel"])
        assert held
        return any(item["channel"] == channel for item in self.port.items) or int(held[1]) > self.before.seq

    def _publisher(self) -> Publisher:
        return Publisher(self.settings)

    def _connection(self) -> StreamConnection:
        return connections.new(self.settings, self.user, None, "", "", self.port.url)


CONNECTS: dict[str, Callable[[Race], None]] = {"open": Race.open, "recover": Race.recover, "poll": Race.poll}


@pytest.fixture
def start(database: Database, wired: Settings, ports: list[ControlPort]) -> Callable[[int], Race]:
    """Return a function that makes a race of a new user with so many events, whose connection has long been gone."""
    numbers = itertools.count()
    mark(database, *wired.grip_url)

    def make(before: int) -> Race:
        user = f"user-{next(numbers)}"
        if before:
            create(database, Publisher(wired), *[user] * before)
        connection_id = connections.new(wired, user, None, "", "").connection_id
        enter(database, wired.grip_url[0], connection_id, user)
        set_gone(database, 2 * audience.RECENT, connection_id)
        return Race(database, wired, ports[0], user, replay.position(database, user).last, connection_id)

    return make


@pytest.mark.parametrize("before", [0, 1])
@pytest.mark.parametrize("connect", CONNECTS)
def test_no_order_of_a_connect_and_a_create_loses_the_event(
    database: Database, start: Callable[[int], Race], connect: str, before: int
) -> None:
    races: list[Race] = []

    def begin() -> list[Callable[[], None]]:
        races.append(race := start(before))
        return [lambda: CONNECTS[connect](race), race.create]

    orders = [(order, races[-1].is_kept()) for order in interleavings(database, begin)]
    assert [order for order, is_kept in orders if not is_kept] == []
    assert len(orders) > 5  # they do run in more than one order


@pytest.mark.parametrize("connect", CONNECTS)
def test_no_order_of_a_connect_and_a_broadcast_loses_the_event(
    database: Database, start: Callable[[int], Race], ports: list[ControlPort], connect: str
) -> None:
    """On a single node."""
    races: list[Race] = []

    def begin() -> list[Callable[[], None]]:
        race = start(0)
        others = [f"{race.user}-{number}" for number in range(audiences.MANY)]
        races.append(race := replace(race, settings=replace(race.settings, grip_url=(ports[0].url,)), others=others))
        return [lambda: CONNECTS[connect](race), race.create]

    orders = [(order, races[-1].is_kept()) for order in interleavings(database, begin)]
    assert [order for order, is_kept in orders if not is_kept] == []
    assert not {grip.user_channel(race.others[0]) for race in races} & {item["channel"] for item in ports[0].items}


@pytest.mark.parametrize("broken", ["the connect reads too early", "the create reads too early"])
def test_another_order_of_the_steps_would_lose_events(
    database: Database, start: Callable[[int], Race], monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    """So that the test above is known to see a loss."""
    admit, find = connections.admit, audiences.of

    def read_first(database: Database, publisher: Publisher, settings: Settings, new: StreamConnection) -> Position:
        position = replay.position(database, new.user_id)
        admit(database, publisher, settings, new)
        return position

    races: list[Race] = []

    def begin() -> list[Callable[[], None]]:
        races.append(race := start(0))
        if broken == "the connect reads too early":
            monkeypatch.setattr(connections, "admit", read_first)
            return [race.open, race.create]

        def create_by_old_rows() -> None:
            early = find(database, Publisher(race.settings), [race.user])
            with monkeypatch.context() as patch:
                patch.setattr(audiences, "of", lambda *_: early)
                race.create()

        return [race.open, create_by_old_rows]

    assert not all(races[-1].is_kept() for _ in interleavings(database, begin))
