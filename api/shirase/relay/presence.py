"""Presence: keeps the registry of connections equal to what the nodes hold, by their statistics.

Announced connections are updated, departed ones are marked as gone, and an announced connection without a row has its
stream read again, which inserts it. The registry can therefore be lost at any time. Any number of relays may do this
at once.
"""

import logging
import threading
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from sqlalchemy import Connection

from shirase.errors import DatabaseUnavailable
from shirase.proxy import grip
from shirase.proxy.nodes import statistics_of
from shirase.proxy.publisher import Publisher, hint
from shirase.proxy.statistics import Statistics
from shirase.relay.node_streams import NodeStreams
from shirase.settings import Settings
from shirase.store import audience, registry
from shirase.store.audience import RECENT
from shirase.store.database import Database

logger = logging.getLogger(__name__)

LISTEN = 0.2  # seconds to wait for a message in a turn
GATHER = 0.05  # seconds whose messages become one transaction
TICK = 1.0  # seconds between two records of which nodes are received
RETRY = 0.5  # seconds until a turn that the database interrupted is repeated
LOST = 2.0  # seconds without a connection after which a node's streams count as gone, unless another relay has one
HOUSEKEEPING = 30.0  # seconds between two checks for expired rows
COMPARE = 5.0  # seconds between two comparisons of a node with its rows
TTL = 15.0  # seconds in which a node repeats everything (stats_subscription_ttl), until its messages state it
PATIENCE = 4 / 3  # times the TTL to wait for a repetition
REREADS = 20  # streams that are read again per turn, to limit the load of the handlers
GRACE = 2.0  # seconds in which a new stream must be announced; a later announcement restores it
LONG_GRACE = 60.0  # the same while a node's statistics are missing
LEASE = 900.0  # seconds until an unconfirmed row expires; three times the interval of a handler's updates
LEFT_KEPT, ENDED_KEPT = timedelta(minutes=10), timedelta(days=1)  # how long rows outlive their connections
REMOVAL_BATCH = 5000  # rows removed at a time
REVIVED = RECENT / 2  # after which a gone stream that is announced again must recover; half, as clocks differ


class Presence:
    """One relay's view of all nodes, which it writes to the database."""

    def __init__(self, settings: Settings, database: Database, publisher: Publisher) -> None:
        self._database = database
        self._publisher = publisher
        self._settings = settings
        self._nodes: dict[str, NodeStreams] = {}
        self._patience = PATIENCE * TTL  # seconds after which an unrepeated announcement expires
        self._without_statistics = not settings.pushpin_stats_url
        self._lease = settings.sse_resync_interval + LEASE if self._without_statistics else LEASE
        if self._without_statistics:
            logger.warning("PUSHPIN_STATS_URL is not set: the end of a stream is not reported")
        self._statistics = Statistics({})
        self._follow(publisher.nodes)
        self._sessions = database.sessions_opened
        self._ticked_at = self._kept_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._statistics.close()

    def turn(self) -> None:
        """Receive messages and write the changes.

        Raises:
            DatabaseUnavailable: the changes are kept for the next turn.
        """
        self._statistics.wait(0 if any(node.later for node in self._nodes.values()) else LISTEN)
        now = time.monotonic()
        self._check_sessions(now)
        self._follow_changes(now)
        for node in self._nodes.values():
            self._notice(node, self._statistics.connected_since.get(node.name), now)
        for message in self._statistics.reports():
            if message.ttl:
                self._patience = PATIENCE * message.ttl
            self._nodes[message.node].note(message, now + self._patience)
        # While messages are queued, a repetition may be among them.
        expires = now - self._ticked_at >= TICK and not self._statistics.is_behind
        for node in self._nodes.values():
            if expires:
                node.expire(now)
            self._enter(node)
            self._compare(node, now)
        self._tick(now)
        self._keep_house(now)

    def _follow(self, names: Iterable[str]) -> None:
        """Begin to listen to these nodes."""
        names = [name for name in names if name not in self._nodes]
        self._nodes |= {name: NodeStreams(name) for name in names}
        of_node = statistics_of(names, self._settings.grip_url, self._settings.pushpin_stats_url)
        for name, address in of_node.items():
            self._statistics.connect(name, address)

    def _follow_changes(self, now: float) -> None:
        """Follow the addresses of hosts. A node that is no longer among them is followed until it ends."""
        if not self._publisher.may_change or now - self._ticked_at < TICK:
            return
        present = self._publisher.nodes
        with self._database.autocommit() as db:
            former = [name for name in registry.node_checks(db) if self._publisher.knows(name)]
        self._follow([*present, *former])
        for node in [node for name, node in self._nodes.items() if name not in present]:
            if node.since is None and now - node.lost_at >= 2 * LOST:
                with self._database.transaction(durable=False) as db:
                    registry.remove_node(db, node.name, datetime.now(UTC))
                self._statistics.disconnect(node.name)
                del self._nodes[node.name]
                logger.info("%s: this node has ended", node.name)

    def _notice(self, node: NodeStreams, since: float | None, now: float) -> None:
        """Discard everything known about a node when its connection was lost or restored."""
        if since == node.since:
            return
        if since is None:
            logger.warning("%s: statistics lost", node.name)
            node.lost_at = now
        else:
            logger.info("%s: statistics received", node.name)
        node.since, node.compared_at, self._ticked_at = since, now, 0.0
        node.doubt()
        node.reset()

    def _check_sessions(self, now: float) -> None:
        """Compare at once after a new session: the database may have crashed, and lost the latest rows."""
        if self._sessions != self._database.sessions_opened:
            self._sessions = self._database.sessions_opened
            for node in self._nodes.values():
                node.doubted = node.doubted or self._has_repeated(node, now)

    def _enter(self, node: NodeStreams) -> None:
        """Write the changes, with one statement for each kind."""
        node.arrived |= node.later
        node.later.clear()
        while node.arrived or node.departed:
            arrived, departed = node.unwritten()
            now = datetime.now(UTC)
            gone_before = (now if node.complete else node.incomplete_since) - REVIVED
            with self._database.transaction(durable=False) as db:
                result = registry.announced(db, node.name, arrived, now, gone_before) if arrived else registry.NONE
                if result.missing:
                    audience.unmark(db, node.name)
                if departed:
                    registry.departed(db, departed, now)
            node.departed.difference_update(departed)
            node.arrived.difference_update(arrived)
            if result.missing:
                node.doubt()
            self._read_again(node, result.recovering)

    def _read_again(self, node: NodeStreams, connection_ids: Iterable[str]) -> None:
        """Have streams read again: an ended one receives its end, an unknown one is inserted."""
        waiting = sorted(connection_ids)
        some, others = waiting[:REREADS], waiting[REREADS:]
        node.later.update(others)
        if some:
            node.rereading.update(some)
            hints = [hint(grip.connection_channel(connection_id)) for connection_id in some]
            self._publisher.publish_to(node.name, hints)

    def _tick(self, now: float) -> None:
        """Record which nodes are received; mark streams of lost nodes, and streams that were never announced."""
        if now - self._ticked_at < TICK:
            return
        timestamp = datetime.now(UTC)
        with self._database.transaction(durable=False) as db:
            for node in self._nodes.values():
                if node.since is None and now - node.lost_at >= LOST:
                    self._give_up(db, node, timestamp)
                registry.record_node(db, node.name, timestamp, timestamp if node.since is not None else None)
                if node.complete and not audience.confirm(db, node.name, timestamp):
                    node.doubt()  # the rows were lost with the mark
                    node.doubted = True
                self._check_entered(db, node, now, timestamp)
            if self._settled(now) and not self._without_statistics:
                all_received = all(node.since is not None for node in self._nodes.values())
                registry.never_announced(
                    db, timestamp - timedelta(seconds=GRACE if all_received else LONG_GRACE), timestamp
                )
        self._ticked_at = now

    def _give_up(self, db: Connection, node: NodeStreams, timestamp: datetime) -> None:
        """Mark a node's streams as gone, unless another relay receives its statistics."""
        _, reported_at = registry.node_checks(db).get(node.name, (timestamp, None))
        if reported_at is None or timestamp - reported_at > timedelta(seconds=LOST):
            # Those entered since are on a node that works, although no relay receives its statistics.
            unheard = min(timedelta(seconds=time.monotonic() - node.lost_at), timedelta(seconds=LONG_GRACE))
            count = registry.node_lost(db, node.name, timestamp - unheard, timestamp)
            if count:
                logger.warning(
                    "%s: no relay receives its statistics, so its %d streams count as gone", node.name, count
                )

    def _check_entered(self, db: Connection, node: NodeStreams, now: float, timestamp: datetime) -> None:
        """Connections that were entered ``GRACE`` ago and are not announced have left: no response arrived."""
        before = timestamp - timedelta(seconds=GRACE)
        if self._has_repeated(node, now):
            entered = registry.entered(db, node.name, node.entered_until, before)
            node.departed.update(set(entered) - node.announced.keys())
        node.entered_until = before

    def _has_repeated(self, node: NodeStreams, now: float) -> bool:
        """Whether a node is received, and has had time to repeat everything."""
        return node.since is not None and now - node.since >= self._patience

    def _settled(self, now: float) -> bool:
        """Whether every node has had time to repeat everything, or to be received again."""
        return all(now - (node.since or node.lost_at) >= self._patience for node in self._nodes.values())

    def _compare(self, node: NodeStreams, now: float) -> None:
        """Compare a node's announcements with its rows, once it has repeated everything."""
        settled = self._has_repeated(node, now)
        if not node.doubted and not (settled and now - node.compared_at >= COMPARE):
            return
        node.without_row = set(node.announced)
        with self._database.autocommit() as db:
            before = datetime.now(UTC) - timedelta(seconds=GRACE)
            for connection_id, is_old in registry.of_node(db, node.name, before):
                if connection_id in node.announced:
                    node.without_row.discard(connection_id)
                elif is_old:  # else the response may still be on its way
                    node.departed.add(connection_id)
            uncounted = registry.uncounted(db, node.name, node.without_row) if node.without_row else set()
            is_complete = settled and not uncounted
            if is_complete and not node.complete:
                audience.mark(db, node.name, datetime.now(UTC))
        if uncounted:
            node.doubt()
        node.complete = is_complete
        node.without_row -= uncounted
        node.arrived.update(node.rereading & node.announced.keys(), uncounted)
        node.rereading.clear()
        node.compared_at, node.doubted = now, False

    def _keep_house(self, now: float) -> None:
        """Confirm the rows of held streams, expire unconfirmed ones, and delete those that ended long ago."""
        if now - self._kept_at < HOUSEKEEPING:
            return
        timestamp = datetime.now(UTC)
        with self._database.transaction(durable=False) as db:
            for node in self._nodes.values():
                if node.since is not None:
                    registry.renew(db, node.name, timestamp - timedelta(seconds=LEASE / 3), timestamp)
            if self._settled(now):
                registry.overdue(db, timestamp - timedelta(seconds=self._lease), timestamp)
            registry.remove_old(db, timestamp - LEFT_KEPT, timestamp - ENDED_KEPT, REMOVAL_BATCH)
        self._kept_at = now


def run(settings: Settings, database: Database, stop: threading.Event) -> None:
    """Maintain the registry until ``stop`` is set, across outages of the database."""
    with Presence(settings, database, Publisher(settings)) as presence:
        while not stop.wait(GATHER):
            try:
                presence.turn()
            except DatabaseUnavailable as exc:
                logger.warning("the registry is not updated: %s", exc)
                stop.wait(RETRY)
