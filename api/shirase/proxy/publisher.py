"""Publishing: sends items to the control ports of the proxy's nodes, in bounded time."""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import orjson

from shirase import metrics
from shirase.addresses import is_loopback_name
from shirase.proxy import grip
from shirase.proxy.control import ControlError, ControlPort
from shirase.settings import Settings

log = logging.getLogger(__name__)

MAX_POST = 900_000  # bytes; Pushpin resets a control connection whose body passes 1,000,000
FAILURES_UNTIL_SPARED = 3
SPARED = (0.5, 1.0)  # seconds; random, so that not all workers retry at once


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

    A node that failed several times in a row is spared: it gets no post for a moment, so that a hanging node does not
    delay every create by its timeout. The database records what it missed, and the relay repairs it.
    """

    def __init__(self, settings: Settings) -> None:
        """Prepare; connections are made with the first publish."""
        self._timeout = settings.publish_timeout
        self._nodes = {node.name: node for node in (_Node(url, self._timeout) for url in settings.grip_url)}

    @property
    def nodes(self) -> tuple[str, ...]:
        """The names of all nodes: their control addresses."""
        return tuple(self._nodes)

    @property
    def has_shared_names(self) -> bool:
        """Whether a name means the same node on every host, so that it can be read from the database.

        With a loopback address beside others, each host has another node under it.
        """
        are_local = [is_loopback_name(urlsplit(name).netloc) for name in self._nodes]
        return all(are_local) or not any(are_local)

    def publish(self, items: Sequence[Item], targets: Sequence[frozenset[str]] | None = None) -> list[frozenset[str]]:
        """Post items to the nodes side by side.

        Args:
            items: in the order in which each node gets them.
            targets: the names of the nodes for each item; by default all. Unknown names are ignored.

        Returns:
            The nodes that accepted each item. Accepted does not mean delivered (docs/pushpin.md, Publishing).
        """
        parts = [orjson.dumps(_exported(item)) for item in items]
        work = []
        for node in self._nodes.values():
            chosen = [n for n in range(len(items)) if targets is None or node.name in targets[n]]
            if chosen:
                work.append(_Work(node, [parts[n] for n in chosen], chosen))
        deadline = time.monotonic() + self._timeout
        _side_by_side([partial(one.run, deadline) for one in work], deadline)
        return _accepted(len(items), work)

    def publish_to(self, node: str, items: Sequence[Item]) -> bool:
        """Send items to one node; returns whether it accepted all of them."""
        return all(self.publish(items, [frozenset({node})] * len(items)))

    def is_spared(self) -> bool:
        """Whether all nodes are spared now."""
        return all(node.rests() for node in self._nodes.values())

    def unreachable(self) -> list[str]:
        """The nodes whose control port does not answer, checked within the time of a publish."""
        nodes = dict(self._nodes)
        answered: list[str] = []
        checks = [partial(node.check, answered) for node in nodes.values()]
        _side_by_side(checks, time.monotonic() + self._timeout)
        return [name for name in nodes if name not in answered]


class _Node:
    def __init__(self, url: str, timeout: float) -> None:
        self._control = ControlPort(url, timeout)
        self.name = self._control.address
        self._failures = 0
        self._spared_until = 0.0
        self._failed_posts = metrics.CONTROL_FAILURES.labels(self.name)
        self._spared_posts = metrics.CONTROL_SPARED.labels(self.name)
        metrics.RELAY_HINTED.labels(self.name)  # exported as 0 from the start, like the two above

    def post(self, body: bytes) -> bool:
        if self._is_spared():
            self._spared_posts.inc()
            return False
        try:
            self._control.publish(body)
        except ControlError as exc:
            self._failed(exc)
            return False
        if self._failures >= FAILURES_UNTIL_SPARED:
            log.warning("control port %s answers again", self.name)
        self._failures = 0
        return True

    def check(self, answered: list[str]) -> None:
        """Add the name if the control port accepts a post, even while the node is spared. Changes no state."""
        with suppress(ControlError):
            self._control.publish(_body([]))
            answered.append(self.name)

    def _is_spared(self) -> bool:
        """Whether to skip the node. After the pause one caller tries it, while the others still skip it."""
        if self.rests():
            return True
        if self._failures >= FAILURES_UNTIL_SPARED:
            self._pause(time.monotonic())
        return False

    def rests(self) -> bool:
        """Whether the node is in the pause after several failures."""
        return self._failures >= FAILURES_UNTIL_SPARED and time.monotonic() < self._spared_until

    def _failed(self, error: ControlError) -> None:
        self._failed_posts.inc()
        self._failures += 1
        self._pause(time.monotonic())
        if self._failures == FAILURES_UNTIL_SPARED:
            log.error("control port %s failed %d times: left to the relay (%s)", self.name, self._failures, error)
        elif self._failures < FAILURES_UNTIL_SPARED:
            log.warning("control port %s failed (%s)", self.name, error)

    def _pause(self, now: float) -> None:
        self._spared_until = now + random.uniform(*SPARED)  # noqa: S311 - spreads retries, protects nothing


@dataclass(slots=True)
class _Work:
    """The posts for one node in one publish."""

    node: _Node
    parts: list[bytes]
    items: list[int]  # the numbers of the items that these are
    accepted: int = 0  # of them, in order

    def run(self, deadline: float) -> None:
        """Post until something fails or the deadline has passed; then the relay takes over."""
        for body, count in _bodies(self.parts):
            if time.monotonic() >= deadline or not self.node.post(body):
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
    for one in work:
        added: dict[frozenset[str], frozenset[str]] = {}  # nearly always one, which the items then share
        for n in one.items[: one.accepted]:
            if by[n] not in added:
                added[by[n]] = by[n] | {one.node.name}
            by[n] = added[by[n]]
    return by


def _bodies(encoded: Sequence[bytes]) -> Iterator[tuple[bytes, int]]:
    """POST bodies under the proxy's limit, each with its number of items."""
    parts: list[bytes] = []
    size = 0
    for part in encoded:
        if parts and size + len(part) > MAX_POST:
            yield _body(parts), len(parts)
            parts, size = [], 0
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield _body(parts), len(parts)


def _body(parts: list[bytes]) -> bytes:
    return b'{"items":[' + b",".join(parts) + b"]}"


# A held long poll gets no event: it repeats its request, and the origin returns everything that it missed.
_HINT = {"action": "hint"}
_HINTS = {"http-stream": _HINT, "http-response": _HINT}


def _exported(item: Item) -> dict[str, Any]:
    if not item.content and not item.close:
        return {"channel": item.channel, "formats": _HINTS}
    formats = {"http-stream": {"action": "close"} if item.close else {"content": item.content}, "http-response": _HINT}
    return {"channel": item.channel, "id": item.id, "prev-id": item.previous, "formats": formats}
