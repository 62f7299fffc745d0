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

from api import grip
from api.database import Database
from api.errors import DatabaseAway
from api.grip import Publisher
from api.settings import Settings
from api.statistics import MOST_AT_ONCE, Heard, Statistics
from api.store import registry

logger = logging.getLogger(__name__)

LISTEN = 0.2  # seconds until the next turn if nothing is said
GATHER = 0.05  # seconds in which what is said becomes one transaction
BATCH = 2000  # connections in one statement
BEAT = 1.0  # seconds between two notes that a node is heard
LOST = 2.0  # seconds without a connection until a node's streams are taken for gone, if no other relay hears it
COMPARE = 5.0  # seconds between two comparisons of a node with its rows
TTL = 15.0  # seconds in which a node says everything once (stats_subscription_ttl), until it has said how many
PATIENCE = 4 / 3  # so many times the TTL a repetition is waited for
LOOKS = 20  # streams that are read again in one turn: the handlers have other work too
UNHELD = 10.0  # seconds from an answer until its stream must have been announced
UNHEARD = 60.0  # the same while some node is not heard
LEASE = 900.0  # seconds until a row is gone that nobody vouched for; three times what a handler leaves untouched
LEFT_KEPT, ENDED_KEPT = timedelta(minutes=10), timedelta(days=1)  # how long rows outlive their connections
FORGET = 5000  # rows removed at a time


@dataclass
class _Node:
    name: str
    held: dict[str, float] = field(default_factory=dict)  # until when each is believed in (time.monotonic())
    arrived: set[str] = field(default_factory=set)  # not yet entered
    departed: set[str] = field(default_factory=set)  # not yet marked
    instance: str = ""
    replaced: bool = False  # another process has taken its place
    since: float | None = None  # connected from when on
    lost_at: float = field(default_factory=time.monotonic)
    beat_at: float = 0.0
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
        self._kept_at = 0.0

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
            DatabaseAway: what was heard is kept for the next turn.
        """
        heard = self._statistics.listen(LISTEN)
        now = time.monotonic()
        for node in self._nodes.values():
            self._notice(node, self._statistics.connected_since.get(node.name), now)
        for one in heard:
            if one.ttl:
                self._patience = PATIENCE * one.ttl
            _note(self._nodes[one.node], one, now + self._patience)
        for node in self._nodes.values():
            if len(heard) < MOST_AT_ONCE:  # else a repetition may be waiting to be read
                _disbelieve(node, now)
            self._enter(node)
            self._beat(node, now)
            self._compare(node, now)
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
        node.since, node.beat_at, node.compared_at = since, 0.0, now
        node.held.clear()
        node.arrived.clear()
        node.departed.clear()

    def _enter(self, node: _Node) -> None:
        """Write what has changed, in as few statements as there are kinds of change."""
        while node.arrived or node.departed or node.replaced:
            arrived, departed = _some(node.arrived), _some(node.departed)
            now = datetime.now(UTC)
            with self._database.write(durable=False) as session:
                if node.replaced:
                    departed += sorted(registry.of_node(session, node.name) - set(node.held))
                look = registry.announced(session, node.name, arrived, now) if arrived else set()
                if departed:
                    registry.departed(session, departed, now)
            node.replaced = False
            node.departed.difference_update(departed)
            node.arrived.difference_update(arrived)
            self._look_again(node, look)

    def _look_again(self, node: _Node, connection_ids: Iterable[str]) -> None:
        """Have streams read again: one that was ended gets its end, one that nobody knows is entered."""
        some = sorted(connection_ids)[:LOOKS]  # the others come up again when the node is compared
        if some:
            hints = [grip.Item(grip.connection_channel(connection_id), 0, "") for connection_id in some]
            self._publisher.publish_to(node.name, hints)

    def _beat(self, node: _Node, now: float) -> None:
        """Note that the node is heard; if nobody hears it any more, what it held is gone."""
        if now - node.beat_at < BEAT:
            return
        at = datetime.now(UTC)
        heard_at = at if node.since is not None else None
        gone = 0
        with self._database.write(durable=False) as session:
            if heard_at is None and now - node.lost_at >= LOST:
                _, last = registry.nodes_heard(session).get(node.name, (at, None))
                if last is None or at - last > timedelta(seconds=LOST):
                    gone = registry.node_lost(session, node.name, at)
            registry.note_node(session, node.name, at, heard_at)
        node.beat_at = now
        if gone:
            logger.warning("%s: nobody hears it, so its %d streams are taken for gone", node.name, gone)

    def _compare(self, node: _Node, now: float) -> None:
        """Hold what the node has said against its rows, once it has said everything."""
        if node.since is None or now - node.since < self._patience or now - node.compared_at < COMPARE:
            return
        with self._database.read() as session:
            rows = registry.of_node(session, node.name)
        node.compared_at = now
        node.arrived |= node.held.keys() - rows
        node.departed |= rows - node.held.keys()

    def _keep_house(self, now: float) -> None:
        if now - self._kept_at < COMPARE:
            return
        at = datetime.now(UTC)
        heard = [node.name for node in self._nodes.values() if node.since is not None]
        unheld = UNHELD if len(heard) == len(self._nodes) else UNHEARD
        with self._database.write(durable=False) as session:
            for name in heard:
                registry.vouch(session, name, at - timedelta(seconds=LEASE / 3), at)
            if all(now - (node.since or node.lost_at) >= self._patience for node in self._nodes.values()):
                if not self._deaf:
                    registry.never_announced(session, at - timedelta(seconds=unheld), at)
                registry.overdue(session, at - timedelta(seconds=self._lease), at)
            registry.forget(session, at - LEFT_KEPT, at - ENDED_KEPT, FORGET)
        self._kept_at = now


def run(settings: Settings, database: Database, stop: threading.Event) -> None:
    """Keep the registry true until told to stop; an outage of the database is waited out."""
    with Presence(settings, database, Publisher(settings)) as presence:
        while not stop.wait(GATHER):
            try:
                presence.turn()
            except DatabaseAway as exc:
                logger.warning("the registry waits: %s", exc)
                stop.wait(BEAT)


def _note(node: _Node, heard: Heard, until: float) -> None:
    if heard.instance != node.instance:
        node.replaced = node.instance != ""
        node.instance = heard.instance
    if heard.ttl:
        if heard.connection_id not in node.held:
            node.arrived.add(heard.connection_id)
            node.departed.discard(heard.connection_id)
        node.held[heard.connection_id] = until
    else:
        node.held.pop(heard.connection_id, None)
        node.arrived.discard(heard.connection_id)
        node.departed.add(heard.connection_id)


def _disbelieve(node: _Node, now: float) -> None:
    """What has not been said again in its time has left, and the word of it was lost."""
    for connection_id in [one for one, until in node.held.items() if until < now]:
        del node.held[connection_id]
        node.departed.add(connection_id)


def _some(waiting: set[str]) -> list[str]:
    return sorted(waiting)[:BATCH]
