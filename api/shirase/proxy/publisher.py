"""Publishing: sends items to the control ports of the proxy's nodes, in bounded time."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urlsplit

import orjson

from shirase.addresses import is_loopback_name
from shirase.proxy import grip
from shirase.proxy.nodes import Node, Nodes, body_of
from shirase.settings import Settings

MAX_POST = 900_000  # bytes; Pushpin resets a control connection whose body passes 1,000,000


@dataclass(frozen=True, slots=True)
class Item:
    """One event for one channel. The proxy sends it to streams whose last id is ``previous``; others recover."""

    channel: str
    id: str
    previous: str
    content: str  # empty for a hint: streams of the channel read the log again
    close: bool = False  # instead, end the streams of the channel


def hint(channel: str) -> Item:
    """An item that has the streams of a channel read the log again."""
    return Item(channel, "", "", "")


def closing_items(connection_id: str, content: str) -> list[Item]:
    """The items that end one held stream: its last event, then the close (docs/pushpin.md, Publishing)."""
    channel = grip.connection_channel(connection_id)
    return [Item(channel, "1", "0", content), Item(channel, "2", "1", "", close=True)]


class Publisher:
    """Sends items to every node's control port, in bounded time, and never raises.

    A node that timed out, or failed several times in a row, is spared: it gets no post for a moment, and then one that
    tries it, for which only the relay waits. Where there are several nodes, no publish waits much longer for one than
    usual, because creates that are published together, or one after the other, are for different nodes. So a hanging
    node does not delay creates by its timeout. The database records what it missed, and the relay repairs it.
    """

    def __init__(self, settings: Settings) -> None:
        """Prepare; connections are made with the first publish."""
        self._timeout = settings.publish_timeout
        self._nodes = Nodes(settings.grip_url, self._timeout)

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of all nodes: their control addresses. The first time it may wait for the lookup of a name."""
        return tuple(self._nodes.all())

    @property
    def may_change(self) -> bool:
        """Whether a name is looked up for the nodes."""
        return self._nodes.may_change

    def knows(self, name: str) -> bool:
        """Whether this is a node, or was one and can still be posted to."""
        return self._nodes.named(name) is not None

    @property
    def has_shared_names(self) -> bool:
        """Whether a name means the same node on every host, so that it can be read from the database.

        With a loopback address beside others, each host has another node under it.
        """
        return _are_alike(self.nodes)

    def publish(
        self, items: Sequence[Item], targets: Sequence[frozenset[str]] | None = None, *, patient: bool = False
    ) -> list[frozenset[str]]:
        """Post items to the nodes side by side.

        Args:
            items: in the order in which each node gets them.
            targets: the names of the nodes for each item; by default all. Unknown names are ignored.
            patient: wait for a node too that is slower than usual, or is tried again after it failed.

        Returns:
            The nodes that accepted each item. Accepted does not mean delivered (docs/pushpin.md, Publishing).
        """
        deadline = time.monotonic() + self._timeout
        parts = [orjson.dumps(_exported(item)) for item in items]
        nodes = self._nodes.all()
        for name in frozenset().union(*frozenset(targets or ())) - nodes.keys():
            if former := self._nodes.named(name):
                nodes[name] = former
        work = []
        for node in nodes.values():
            chosen = [n for n in range(len(items)) if targets is None or node.name in targets[n]]
            if chosen:
                work.append(_Work(node, [parts[n] for n in chosen], chosen))
        awaited = [entry for entry in work if patient or not entry.node.is_on_trial()]
        for entry in work:
            if entry not in awaited:
                threading.Thread(target=entry.run, args=[deadline], name="trial", daemon=True).start()
        beside_others = len(nodes) > 1 and not patient
        runs = [partial(entry.run, deadline, beside_others=beside_others) for entry in awaited]
        _side_by_side(runs, deadline)
        return _accepted(len(items), awaited)

    def publish_to(self, node: str, items: Sequence[Item]) -> bool:
        """Send items to one node; returns whether it accepted all of them. Waits for a node that is tried again."""
        return all(self.publish(items, [frozenset({node})] * len(items), patient=True))

    def is_spared(self) -> bool:
        """Whether all nodes are spared now."""
        return all(node.rests() for node in self._nodes.all().values())

    def unreachable(self) -> list[str]:
        """The nodes whose control port does not answer, checked within the time of a publish."""
        deadline = time.monotonic() + self._timeout
        nodes = self._nodes.all()
        answered: list[str] = []
        checks = [partial(node.check, answered) for node in nodes.values()]
        _side_by_side(checks, deadline)
        return [name for name in nodes if name not in answered]


@lru_cache(16)
def _are_alike(names: tuple[str, ...]) -> bool:
    are_local = [is_loopback_name(urlsplit(name).netloc) for name in names]
    return all(are_local) or not any(are_local)


@dataclass(slots=True, eq=False)
class _Work:
    """The posts for one node in one publish."""

    node: Node
    parts: list[bytes]
    items: list[int]  # the numbers of the items that these are
    accepted: int = 0  # of them, in order

    def run(self, deadline: float, *, beside_others: bool = False) -> None:
        """Post until something fails or the deadline has passed; then the relay takes over."""
        for body, count in _bodies(self.parts):
            if time.monotonic() >= deadline or not self.node.post(body, beside_others=beside_others):
                return
            self.accepted += count


def _side_by_side(tasks: Sequence[Callable[[], None]], deadline: float) -> None:
    """Run the tasks until the deadline, each in a thread, so that a hanging node delays no other; one task in this."""
    threads = [threading.Thread(target=task, name="publish", daemon=True) for task in tasks[1:]]
    for thread in threads:
        thread.start()
    for task in tasks[:1]:
        task()
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))


def _accepted(count: int, work: Sequence[_Work]) -> list[frozenset[str]]:
    by: list[frozenset[str]] = [frozenset()] * count
    for item in work:
        added: dict[frozenset[str], frozenset[str]] = {}  # nearly always one, which the items then share
        for n in item.items[: item.accepted]:
            if by[n] not in added:
                added[by[n]] = by[n] | {item.node.name}
            by[n] = added[by[n]]
    return by


def _bodies(encoded: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
    """POST bodies under the proxy's limit, each with its number of items."""
    parts: list[bytes] = []
    size = 0
    for part in encoded:
        if parts and size + len(part) > MAX_POST:
            yield body_of(parts), len(parts)
            parts, size = [], 0
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield body_of(parts), len(parts)


# A held long poll gets no event: it repeats its request, and the origin returns everything that it missed.
_HINT = {"action": "hint"}
_HINTS = {"http-stream": _HINT, "http-response": _HINT}


def _exported(item: Item) -> dict[str, Any]:
    if not item.content and not item.close:
        return {"channel": item.channel, "formats": _HINTS}
    formats = {"http-stream": {"action": "close"} if item.close else {"content": item.content}, "http-response": _HINT}
    return {"channel": item.channel, "id": item.id, "prev-id": item.previous, "formats": formats}
