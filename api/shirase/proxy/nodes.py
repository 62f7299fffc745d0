"""The proxy's nodes, as ``GRIP_URL`` lists them: single ones, and with ``dns+http://`` every address of a host."""

import logging
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from urllib.parse import urlsplit

from shirase import metrics
from shirase.proxy import names
from shirase.proxy.control import ControlError, ControlPort, ControlTimeout
from shirase.variables import EVERY_ADDRESS

log = logging.getLogger(__name__)

FAILURES_UNTIL_SPARED = 3
SPARED = (0.5, 1.0)  # seconds; random, so that not all workers retry at once
# How long a publish to several nodes waits for one of them: in seconds, for each 100 KB of a post too, and in times of
# what its posts usually take. Longer than an answer takes on a busy machine, shorter than a producer notices.
PATIENCE, PATIENCE_SIZE, USUAL_TIMES = 0.5, 100_000, 4
SHARE = 1 / 8  # of the last post in what is usual


class Nodes:
    """All nodes. Those of a host change with its addresses, which are looked up again beside the publishes."""

    def __init__(self, urls: Sequence[str], timeout: float) -> None:
        """Prepare, without connecting. ``timeout`` is for a request, and for the first lookup of a name."""
        single = [Node(url, timeout) for url in urls if not url.startswith(EVERY_ADDRESS)]
        self._single = {node.name: node for node in single}
        self._hosts = [_Host(url, timeout) for url in urls if url.startswith(EVERY_ADDRESS)]

    @property
    def may_change(self) -> bool:
        """Whether a host's addresses are nodes."""
        return bool(self._hosts)

    def all(self) -> dict[str, "Node"]:
        """The present nodes by name, in the order of the URLs."""
        result = dict(self._single)
        for host in self._hosts:
            result |= host.nodes()
        return result

    def named(self, name: str) -> "Node | None":
        """The node of this name, even if its host no longer has that address: it may still hold streams."""
        return self._single.get(name) or next((node for host in self._hosts if (node := host.named(name))), None)


class _Host:
    def __init__(self, url: str, timeout: float) -> None:
        self._url = url.removeprefix(EVERY_ADDRESS)
        parts = urlsplit(self._url)
        self._host, self._port = parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
        self._scheme, self._path = parts.scheme, parts.path.rstrip("/")
        self._timeout = timeout
        self._nodes: dict[str, Node] = {}  # by address, each that was needed so far
        self._waits = True  # for the lookup, until that has failed

    def nodes(self) -> dict[str, "Node"]:
        try:
            addresses = names.addresses(self._host, self._port, self._timeout if self._waits else 0)
        except OSError as exc:
            if self._waits:
                log.warning("no address of %s: %s", self._host, exc)
            self._waits = False
            return {}
        self._waits = True
        return {node.name: node for node in map(self._at, addresses)}

    def named(self, name: str) -> "Node | None":
        address = urlsplit(name).hostname or ""
        return self._at(address) if names.is_number(address) and self._name_at(address) == name else None

    def _at(self, address: str) -> "Node":
        if address not in self._nodes:
            query = urlsplit(self._url).query
            url = self._name_at(address) + (f"?{query}" if query else "")
            self._nodes[address] = Node(url, self._timeout, self._host)
        return self._nodes[address]

    def _name_at(self, address: str) -> str:
        return f"{self._scheme}://{f'[{address}]' if ':' in address else address}:{self._port}{self._path}"


def statistics_of(nodes: Iterable[str], urls: Sequence[str], stats_urls: Sequence[str]) -> Mapping[str, str]:
    """The addresses of these nodes' statistics, by node; empty if none are configured."""
    result: dict[str, str] = {}
    single: dict[str, str] = {}
    hosts: list[tuple[_Host, int]] = []
    for url, stats_url in zip(urls, stats_urls, strict=bool(stats_urls)) if stats_urls else ():
        if url.startswith(EVERY_ADDRESS):
            hosts.append((_Host(url, 0), urlsplit(stats_url.removeprefix(EVERY_ADDRESS)).port or 0))
        else:
            single[ControlPort(url, 0).address] = stats_url
    for name in nodes:
        if name in single:
            result[name] = single[name]
        for host, port in hosts:
            if host.named(name):
                address = urlsplit(name).hostname or ""
                result[name] = f"tcp://{f'[{address}]' if ':' in address else address}:{port}"
    return result


class Node:
    """One node, as this process knows it. Spared for a moment after several failures in a row, or a timeout."""

    def __init__(self, url: str, timeout: float, server_name: str | None = None) -> None:
        """Prepare, without connecting; see ``ControlPort``."""
        self._control = ControlPort(url, timeout, server_name)
        self.name = self._control.address
        self._failures = 0
        self._spared_until = 0.0
        self._usual = 0.0  # seconds of a post
        self._failed_posts = metrics.CONTROL_FAILURES.labels(self.name)
        self._spared_posts = metrics.CONTROL_SPARED.labels(self.name)
        metrics.RELAY_HINTED.labels(self.name)  # exported as 0 from the start, like the two above

    def post(self, body: bytes, *, beside_others: bool = False) -> bool:
        """Post items; returns whether they were accepted.

        ``beside_others`` are nodes that the same publish waits for: then this one must answer almost as soon as usual.
        """
        if self._is_spared():
            self._spared_posts.inc()
            return False
        begun = time.monotonic()
        patience = PATIENCE * (1 + len(body) / PATIENCE_SIZE) + USUAL_TIMES * self._usual
        try:
            self._control.publish(body, patience if beside_others else None)
        except ControlError as exc:
            self._failed(exc)
            return False
        self._usual += (time.monotonic() - begun - self._usual) * SHARE
        if self._failures >= FAILURES_UNTIL_SPARED:
            log.warning("control port %s answers again", self.name)
        self._failures = 0
        return True

    def check(self, answered: list[str]) -> None:
        """Add the name if the control port accepts a post, even while the node is spared. Changes no state."""
        with suppress(ControlError):
            self._control.publish(body_of([]))
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

    def is_on_trial(self) -> bool:
        """Whether the next post tries the node again after several failures."""
        return self._failures >= FAILURES_UNTIL_SPARED and not self.rests()

    def _failed(self, error: ControlError) -> None:
        self._failed_posts.inc()
        was_spared = self._failures >= FAILURES_UNTIL_SPARED
        # A refusal comes at once, and may pass. After a timeout, every further publish would wait as long.
        self._failures += FAILURES_UNTIL_SPARED if isinstance(error, ControlTimeout) else 1
        self._pause(time.monotonic())
        if was_spared:
            return
        if self._failures >= FAILURES_UNTIL_SPARED:
            log.error("control port %s fails: left to the relay (%s)", self.name, error)
        else:
            log.warning("control port %s failed (%s)", self.name, error)

    def _pause(self, now: float) -> None:
        self._spared_until = now + random.uniform(*SPARED)  # noqa: S311 - spreads retries, protects nothing


def body_of(parts: Sequence[bytes]) -> bytes:
    """The body of a post of these encoded items."""
    return b'{"items":[' + b",".join(parts) + b"]}"
