"""The metrics of ``/metrics``: counters of the processes, state of the database, and each proxy node.

The database is queried at the scrape, by a few bounded queries, and so is each node, within a bounded time. A part that
does not answer is reported as down and its metrics are left out; it never fails the scrape.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from math import inf
from pathlib import Path
from urllib.parse import urlsplit

from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from sqlalchemy.exc import SQLAlchemyError

from shirase.errors import DatabaseUnavailable
from shirase.policies import CHANNELS
from shirase.proxy import names
from shirase.proxy.nodes import statistics_of
from shirase.settings import Settings
from shirase.store import announcements, deliveries, log, missed, registry, webhooks
from shirase.store.database import Database

logger = logging.getLogger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
NODE_TIMEOUT = 0.5  # seconds without a byte from a node's metrics
NODES_TIMEOUT = 2.0  # seconds for all nodes together; nodes that are not reached by then count as down
LARGEST_ANSWER = 64 * 1024  # bytes
UNANNOUNCED = ""  # the node of a stream that none has announced yet

# Pushpin's names have neither a prefix nor a label for the node.
TOTALS = {
    "request_received": "shirase_pushpin_requests_received",
    "connection_connected": "shirase_pushpin_connections",
    "connection_minute": "shirase_pushpin_connection_minutes",
    "message_received": "shirase_pushpin_messages_received",
    "message_sent": "shirase_pushpin_messages_sent",
}


Addresses = Mapping[str, tuple[str, int]]  # by node: host and port of its metrics


def addresses(settings: Settings, nodes: Sequence[str]) -> Addresses:
    """Where each node serves its metrics: one port above its statistics, two above its control port."""
    by_node = {}
    of_node = statistics_of(nodes, settings.grip_url, settings.pushpin_stats_url)
    for node in nodes:
        statistics = of_node.get(node)
        above = urlsplit(statistics or node)
        by_node[node] = (above.hostname or "", (above.port or 80) + (1 if statistics else 2))
    return by_node


def render(database: Database, nodes: Addresses) -> bytes:
    """Collect all metrics as Prometheus text."""
    of_processes = CollectorRegistry()
    if directory := os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
        of_processes.register(_Processes(Path(directory)))
        counted = generate_latest(of_processes)
    else:
        counted = generate_latest(REGISTRY)
    at_scrape = CollectorRegistry()
    at_scrape.register(_AtScrape(database, nodes))
    return counted + generate_latest(at_scrape)


class _Processes(Collector):
    """The counters of all processes, from the files that these share."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering does not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Add them up. A process that is just starting has an empty file, which the library cannot read."""
        files = []
        for file in self._directory.glob("*.db"):
            with suppress(FileNotFoundError):  # of a process that has ended meanwhile
                if file.stat().st_size:
                    files.append(str(file))
        yield from MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]


class _AtScrape(Collector):
    """The metrics that are collected at the scrape."""

    def __init__(self, database: Database, nodes: Addresses) -> None:
        self._database = database
        self._nodes = nodes

    def describe(self) -> list[Metric]:
        """Return nothing, so that registering does not collect."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Collect now."""
        up = GaugeMetricFamily("shirase_database_up", "Whether the database answered this scrape.")
        try:
            yield from self._database_metrics()
        except (DatabaseUnavailable, SQLAlchemyError):  # the latter if the schema is missing or old
            up.add_metric([], 0)
        else:
            up.add_metric([], 1)
        yield up
        yield from _node_metrics(self._nodes)

    def _database_metrics(self) -> list[Metric]:
        with self._database.autocommit() as db:
            waiting, oldest = log.outbox(db)
            behind = {node: missed.count(db, node) for node in self._nodes}
            open_streams = registry.open_by_node(db)
            checks = registry.node_checks(db)
            behind_users, announced_at = announcements.lag(db)
            outside = dict.fromkeys(CHANNELS, (0, None)) | deliveries.waiting(db)
            dead = deliveries.count_dead(db)
            endpoints = webhooks.health(db)
        now = datetime.now(UTC)
        open_now = {node: open_streams.get(node, 0) for node in self._nodes} | {UNANNOUNCED: open_streams.get(None, 0)}
        checked = [checked_at for checked_at, _ in checks.values()]
        return [
            GaugeMetricFamily(
                "shirase_unpublished_events",
                f"Events that no node has accepted yet; {log.MOST_COUNTED} at the most.",
                waiting,
            ),
            GaugeMetricFamily(
                "shirase_oldest_unpublished_event_age_seconds",
                "Age of the oldest of them; 0 if there is none.",
                _age(oldest, now) if oldest else 0.0,
            ),
            GaugeMetricFamily(
                "shirase_announcement_waiting_users",
                "Connected users who have not considered an announcement yet.",
                behind_users,
            ),
            GaugeMetricFamily(
                "shirase_announcement_lag_seconds",
                "Age of the oldest announcement that some of them lack; 0 if there is none.",
                _age(announced_at, now) if announced_at else 0.0,
            ),
            _by(
                "channel",
                "shirase_pending_deliveries",
                "Deliveries that are not sent yet.",
                {channel: n for channel, (n, _) in outside.items()},
            ),
            _by(
                "channel",
                "shirase_delivery_lag_seconds",
                "How long the oldest delivery that is due has waited for an attempt.",
                {channel: _age(due_at, now) if due_at else 0.0 for channel, (_, due_at) in outside.items()},
            ),
            GaugeMetricFamily("shirase_dead_deliveries", "Deliveries that were given up and are kept.", dead),
            GaugeMetricFamily(
                "shirase_paused_webhooks", "Webhooks that get nothing until they are retried.", endpoints.paused
            ),
            GaugeMetricFamily(
                "shirase_webhook_failing_seconds",
                "How long the webhook that has failed for longest has done so, without paused ones; 0 if none fails.",
                _age(endpoints.failing_since, now) if endpoints.failing_since else 0.0,
            ),
            GaugeMetricFamily(
                "shirase_queued_webhook_events",
                f"Events that some webhook has not accepted yet; {webhooks.MOST_COUNTED} at the most.",
                endpoints.queued,
            ),
            _by_node("shirase_missed_streams", "Streams that a node has yet to read again.", behind),
            _by_node("shirase_open_connections", "Open streams in the registry.", open_now),
            GaugeMetricFamily(
                "shirase_relay_silence_seconds",
                "Time since a relay last ran; infinite if none ever did.",
                _age(max(checked), now) if checked else inf,
            ),
            _by_node(
                "shirase_statistics_silence_seconds",
                "Time since a relay received a node's statistics; infinite if it never did.",
                {node: _age(at, now) if (at := checks.get(node, (now, None))[1]) else inf for node in self._nodes},
            ),
        ]


def _age(moment: datetime, now: datetime) -> float:
    return max(0.0, (now - moment).total_seconds())


def _by_node(name: str, documentation: str, values: Mapping[str, float]) -> Metric:
    return _by("node", name, documentation, values)


def _by(label: str, name: str, documentation: str, values: Mapping[str, float]) -> Metric:
    family = GaugeMetricFamily(name, documentation, labels=[label])
    for labelled, value in values.items():
        family.add_metric([labelled], value)
    return family


def _node_metrics(nodes: Addresses) -> Iterator[Metric]:
    up = GaugeMetricFamily("shirase_pushpin_up", "Whether a node's own statistics answered.", labels=["node"])
    families: dict[str, Metric] = {}
    deadline = time.monotonic() + NODES_TIMEOUT
    for node, address in nodes.items():
        totals = _totals(*address) if time.monotonic() < deadline else None
        up.add_metric([node], totals is not None)
        for family in totals or ():
            name = TOTALS.get(family.name)
            if name and family.samples:
                kind = CounterMetricFamily if family.type == "counter" else GaugeMetricFamily
                labelled = families.setdefault(name, kind(name, family.documentation + ".", labels=["node"]))
                labelled.add_metric([node], family.samples[0].value)  # type: ignore[attr-defined]
    yield up
    yield from families.values()


class _Http(HTTPConnection):
    timeout: float

    def connect(self) -> None:
        """Connect, with a bounded lookup of the name."""
        self.sock = names.connect(self.host, self.port, self.timeout)


def _totals(host: str, port: int) -> list[Metric] | None:
    """Read a node's own metrics; ``None`` if it does not answer."""
    connection = _Http(host, port, timeout=NODE_TIMEOUT)
    with closing(connection):
        try:
            connection.request("GET", "/metrics")
            answer = connection.getresponse()
            text = answer.read(LARGEST_ANSWER).decode()
            return list(text_string_to_metric_families(text)) if answer.status == HTTPStatus.OK else None
        except (OSError, HTTPException, ValueError) as exc:
            logger.debug("%s:%d does not serve its metrics: %s", host, port, exc)
            return None
