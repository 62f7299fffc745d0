"""A node's streams, as one relay knows them from its statistics."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from shirase.proxy.statistics import Report

BATCH = 2000  # connections in one statement


@dataclass
class NodeStreams:
    """The connections that a node has announced, the unwritten changes, and whether to rely on its rows."""

    name: str
    announced: dict[str, float] = field(default_factory=dict)  # connection id: valid until (time.monotonic)
    arrived: set[str] = field(default_factory=set)  # not yet written
    departed: set[str] = field(default_factory=set)  # not yet written
    without_row: set[str] = field(default_factory=set)  # announced; handled when they are announced again
    rereading: set[str] = field(default_factory=set)  # being recovered, without a row so far
    instance: str = ""
    doubted: bool = False  # it holds fewer connections than it has rows: compare at once
    since: float | None = None  # time of the connection (time.monotonic)
    lost_at: float = field(default_factory=time.monotonic)
    compared_at: float = 0.0
    later: set[str] = field(default_factory=set)  # to be read again in a later turn
    complete: bool = False  # every announced connection has a row
    incomplete_since: datetime = field(default_factory=lambda: datetime.now(UTC))
    entered_until: datetime = field(default_factory=lambda: datetime.now(UTC))  # rows entered by then are checked

    def doubt(self) -> None:
        """Do not rely on the registry for this node until it has been compared."""
        if self.complete:
            self.complete, self.incomplete_since = False, datetime.now(UTC)

    def note(self, report: Report, until: float) -> None:
        """Take a report; an announcement is valid until then (``time.monotonic``)."""
        if report.instance != self.instance:  # a new process does not hold its predecessor's streams
            former = set(self.announced)
            self.reset()
            self.departed.update(former)
            self.doubted = self.instance != ""
            self.instance = report.instance
        connection_id = report.connection_id
        if not report.ttl:
            self.announced.pop(connection_id, None)
            self.arrived.discard(connection_id)
            self.departed.add(connection_id)
            return
        if connection_id not in self.announced or connection_id in self.without_row:
            self.arrived.add(connection_id)
            self.departed.discard(connection_id)
            self.without_row.discard(connection_id)
        self.announced[connection_id] = until

    def expire(self, now: float) -> None:
        """Drop connections that were not announced again in time: the message of their end was lost."""
        expired = [connection_id for connection_id, until in self.announced.items() if until < now]
        for connection_id in expired:
            del self.announced[connection_id]
        self.departed.update(expired)

    def reset(self) -> None:
        """Forget everything that the node has announced."""
        self.doubted = False
        self.announced.clear()
        for waiting in (self.arrived, self.departed, self.without_row, self.rereading, self.later):
            waiting.clear()

    def unwritten(self) -> tuple[list[str], list[str]]:
        """Some arrivals and departures, for one statement each."""
        return sorted(self.arrived)[:BATCH], sorted(self.departed)[:BATCH]
