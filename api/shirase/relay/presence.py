"""Presence: keeps the registry of connections equal to what the nodes hold, as their statistics tell it.

What is announced is entered, what has left is marked as gone, and what is announced though nobody knows it has its
stream read again, which enters it. So the registry can be lost at any time. Any number of relays may do this at once.
"""

import logging
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import Connection

from shirase.errors import DatabaseUnavailable
from shirase.proxy import grip
from shirase.proxy.publisher import Publisher, hint
from shirase.proxy.statistics import Heard, Statistics
from shirase.settings import Settings
from shirase.store import registry
from shirase.store.database import Database

logger = logging.getLogger(__name__)

LISTEN = 0.2  # seconds until the next turn if nothing is said
GATHER = 0.05  # seconds in which what is said becomes one transaction
BATCH = 2000  # connections in one statement
TICK = 1.0  # seconds between two notes that the nodes are heard
LOST = 2.0  # seconds without a connection until a node's streams are taken for gone, if no other relay hears it
HOUSEKEEPING = 30.0  # seconds between two looks for rows that are over
COMPARE = 5.0  # seconds between two comparisons of a node with its rows
TTL = 15.0  # seconds in which a node says everything once (stats_subscription_ttl), until it has said how many
PATIENCE = 4 / 3  # so many times the TTL a repetition is waited for
LOOKS = 20  # streams that are read again in one turn: the handlers have other work too
UNHELD = 2.0  # seconds from an answer until its stream must have been announced; it may come later, and is back then
UNHEARD = 60.0  # the same while some node is not heard
LEASE = 900.0  # seconds until a row is gone that nobody vouched for; three times what a handler leaves untouched
LEFT_KEPT, ENDED_KEPT = timedelta(minutes=10), timedelta(days=1)  # how long rows outlive their connections
FORGET = 5000  # rows removed at a time


@dataclass
class _Node:
    name: str
    announced: dict[str, float] = field(default_factory=dict)  # connection id: valid until (time.monotonic)
    arrived: set[str] = field(default_factory=set)  # not yet entered
    departed: set[str] = field(default_factory=set)  # not yet marked
    without_row: set[str] = field(default_factory=set)  # announced; entered when they are announced again
    rereading: set[str] = field(default_factory=set)  # asked to recover, row not seen yet
    instance: str = ""
    doubted: bool = False  # it holds less than its rows say: compare them at once
    since: float | None = None  # connected from when on
    lost_at: float = field(default_factory=time.monotonic)
    compared_at: float = 0.0


class Presence:
    """What one relay knows of all nodes, and its way into the database."""

    def __init__(self, settings: Settings, database: Database, publisher: Publisher) -> None:
        """Know nothing yet."""
        self._database = database
        self._publisher = publisher
        addresses = dict(zip(publisher.nodes, settings.pushpin_stats_url, strict=False))
        self._nodes = {name: _Node(name) for name in publisher.nodes}
        self._patience = PATIENCE * TTL  # seconds after which what a node has not said again is not so any more
        self._deaf = not addresses
        self._lease = settings.sse_resync_interval + LEASE if self._deaf else LEASE
        if self._deaf:
            logger.warning("PUSHPIN_STATS_URL is not set: nobody tells which streams have ended")
        self._statistics = Statistics(addresses)
        self._ticked_at = self._kept_at = 0.0

    def __enter__(self) -> Self:
        """Listen."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._statistics.close()

    def turn(self) -> None:
        """Hear what is said and enter it.

        Raises:
            DatabaseUnavailable: what was heard is kept for the next turn.
        """
        self._statistics.wait(LISTEN)
        now = time.monotonic()
        for node in self._nodes.values():
            self._notice(node, self._statistics.connected_since.get(node.name), now)
        for one in self._statistics.heard():
            if one.ttl:
                self._patience = PATIENCE * one.ttl
            _note(self._nodes[one.node], one, now + self._patience)
        looks = now - self._ticked_at >= TICK and not self._statistics.is_behind  # else a repetition may wait
        for node in self._nodes.values():
            if looks:
                _expire(node, now)
            self._enter(node)
            self._compare(node, now)
        self._tick(now)
        self._keep_house(now)

    def _notice(self, node: _Node, since: float | None, now: float) -> None:
        """The line to a node was lost, or is there again: nothing that was said before is believed any more."""
        if since == node.since:
            return
        if since is None:
            logger.warning("%s: its statistics are not heard any more", node.name)
            node.lost_at = now
        else:
            logger.info("%s: its statistics are heard", node.name)
        node.since, node.compared_at, self._ticked_at = since, now, 0.0
        _forget(node)

    def _enter(self, node: _Node) -> None:
        """Write what has changed, in as few statements as there are kinds of change."""
        while node.arrived or node.departed:
            arrived, departed = _some(node.arrived), _some(node.departed)
            now = datetime.now(UTC)
            with self._database.transaction(durable=False) as db:
                look = registry.announced(db, node.name, arrived, now) if arrived else set()
                if departed:
                    registry.departed(db, departed, now)
            node.departed.difference_update(departed)
            node.arrived.difference_update(arrived)
            self._look_again(node, look)

    def _look_again(self, node: _Node, connection_ids: Iterable[str]) -> None:
        """Have streams read again: one that was ended gets its end, one that nobody knows is entered."""
        waiting = sorted(connection_ids)
        some, others = waiting[:LOOKS], waiting[LOOKS:]
        node.without_row.update(others)
        if some:
            node.rereading.update(some)
            hints = [hint(grip.connection_channel(connection_id)) for connection_id in some]
            self._publisher.publish_to(node.name, hints)

    def _tick(self, now: float) -> None:
        """Note which nodes are heard; mark what runs out when one is not, and what none of them ever held."""
        if now - self._ticked_at < TICK:
            return
        at = datetime.now(UTC)
        with self._database.transaction(durable=False) as db:
            for node in self._nodes.values():
                if node.since is None and now - node.lost_at >= LOST:
                    self._give_up(db, node, at)
                registry.note_node(db, node.name, at, at if node.since is not None else None)
            if self._settled(now) and not self._deaf:
                all_heard = all(node.since is not None for node in self._nodes.values())
                registry.never_announced(db, at - timedelta(seconds=UNHELD if all_heard else UNHEARD), at)
        self._ticked_at = now

    def _give_up(self, db: Connection, node: _Node, at: datetime) -> None:
        """What a node held is gone, unless another relay still hears it."""
        _, heard_at = registry.nodes_heard(db).get(node.name, (at, None))
        if heard_at is None or at - heard_at > timedelta(seconds=LOST):
            gone = registry.node_lost(db, node.name, at)
            if gone:
                logger.warning("%s: nobody hears it, so its %d streams are taken for gone", node.name, gone)

    def _settled(self, now: float) -> bool:
        """Whether every node has had the time to say all that it holds, or to be heard again."""
        return all(now - (node.since or node.lost_at) >= self._patience for node in self._nodes.values())

    def _compare(self, node: _Node, now: float) -> None:
        """Hold what the node has said against its rows, once it has said everything.

        A row that is missing is looked for when its stream is heard the next time: only then it is known which it is.
        """
        settled = node.since is not None and now - node.since >= self._patience
        if not node.doubted and not (settled and now - node.compared_at >= COMPARE):
            return
        node.without_row = set(node.announced)
        with self._database.autocommit() as db:
            for connection_id in registry.of_node(db, node.name):
                if connection_id in node.announced:
                    node.without_row.discard(connection_id)
                else:
                    node.departed.add(connection_id)
        node.arrived.update(node.rereading & node.announced.keys())
        node.rereading.clear()
        node.compared_at, node.doubted = now, False

    def _keep_house(self, now: float) -> None:
        """Vouch for what is held, and forget what ended long ago; a row that nobody vouches for runs out."""
        if now - self._kept_at < HOUSEKEEPING:
            return
        at = datetime.now(UTC)
        with self._database.transaction(durable=False) as db:
            for node in self._nodes.values():
                if node.since is not None:
                    registry.renew(db, node.name, at - timedelta(seconds=LEASE / 3), at)
            if self._settled(now):
                registry.overdue(db, at - timedelta(seconds=self._lease), at)
            registry.forget(db, at - LEFT_KEPT, at - ENDED_KEPT, FORGET)
        self._kept_at = now


def run(settings: Settings, database: Database, stop: threading.Event) -> None:
    """Keep the registry true until told to stop; an outage of the database is waited out."""
    with Presence(settings, database, Publisher(settings)) as presence:
        while not stop.wait(GATHER):
            try:
                presence.turn()
            except DatabaseUnavailable as exc:
                logger.warning("the registry waits: %s", exc)
                stop.wait(TICK)


def _note(node: _Node, heard: Heard, until: float) -> None:
    if heard.instance != node.instance:
        _forget(node)
        node.doubted = node.instance != ""  # it does not hold what the one before it held
        node.instance = heard.instance
    connection_id = heard.connection_id
    if not heard.ttl:
        node.announced.pop(connection_id, None)
        node.arrived.discard(connection_id)
        node.departed.add(connection_id)
        return
    if connection_id not in node.announced or connection_id in node.without_row:
        node.arrived.add(connection_id)
        node.departed.discard(connection_id)
        node.without_row.discard(connection_id)
    node.announced[connection_id] = until


def _expire(node: _Node, now: float) -> None:
    """Drop what was not announced again in time: it has left, and the message that said so was lost."""
    expired = [connection_id for connection_id, until in node.announced.items() if until < now]
    for connection_id in expired:
        del node.announced[connection_id]
    node.departed.update(expired)


def _forget(node: _Node) -> None:
    node.doubted = False
    node.announced.clear()
    for waiting in (node.arrived, node.departed, node.without_row, node.rereading):
        waiting.clear()


def _some(waiting: set[str]) -> list[str]:
    return sorted(waiting)[:BATCH]
