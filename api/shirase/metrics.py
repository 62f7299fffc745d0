"""All metrics. The code that does a thing counts it; ``web/scrape.py`` renders the metrics.

They are module globals, as the Prometheus library requires. With ``PROMETHEUS_MULTIPROC_DIR`` set, each process writes
its own files there, and a scrape adds up those of all workers and the relay. Label values come from short, closed lists
and never name a user or a connection.
"""

from bisect import bisect_left
from collections import Counter as Counted
from collections.abc import Iterable
from datetime import datetime

from prometheus_client import Counter, Gauge, Histogram, start_http_server

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)  # seconds
LONG = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600, 86_400)  # seconds

REQUESTS = Counter(
    "shirase_http_requests_total", "Requests that the handlers answered, by operation.", ["operation", "status"]
)
REQUEST_SECONDS = Histogram(
    "shirase_http_request_duration_seconds",
    "Time from a request's arrival at a handler to its response.",
    ["operation"],
    buckets=FAST,
)

CREATED = Counter("shirase_notifications_created_total", "Notifications that were committed.")
PUBLISHED = Counter(
    "shirase_events_published_total",
    "Events: accepted by all nodes that hold the user's streams, by some, by none; or unneeded, since none does.",
    ["result"],  # accepted, partial, failed, unneeded
)
PUBLISH_SECONDS = Histogram(
    "shirase_publish_duration_seconds", "Time that a publish took, all nodes together.", buckets=FAST
)
AGE = Histogram(
    "shirase_event_age_seconds",
    "From an event's creation until the proxy had it: by its first publish, by the relay, or in a replay.",
    ["way"],  # publish, relay, replay
    buckets=LONG,
)
CONTROL_FAILURES = Counter(
    "shirase_control_port_failures_total", "Posts that a node's control port did not accept.", ["node"]
)
CONTROL_SPARED = Counter(
    "shirase_control_port_spared_total", "Posts that were not tried, because the node had just failed.", ["node"]
)

CONNECTS = Counter(
    "shirase_connects_total",
    "Requested streams: new, resumed at a cursor (reconnects), reset, deferred (no database) or rejected.",
    ["result"],  # new, resumed, reset, deferred, rejected (as many as the user may hold)
)
ENDED = Counter(
    "shirase_connections_ended_total",
    "Streams that the service ended: evicted by the user's newer ones, revoked, or with their token.",
    ["reason"],  # connection-limit, revoked, token-expired
)
POLLS = Counter("shirase_polls_total", "Long polls that were asked for, the proxy's repeats included.")
RECOVERIES = Counter("shirase_recoveries_total", "Times that the proxy read an open stream again.")
REPLAYED = Counter("shirase_replayed_events_total", "Events sent from the log: to who reconnects, recovers or polls.")
RESETS = Counter("shirase_resets_total", "Resets that were sent: each client fetches its list again.")

ANNOUNCED = Counter("shirase_announcements_created_total", "Announcements that were committed.")
SPREAD = Counter(
    "shirase_relay_spread_notifications_total",
    "Notifications that the relay made of announcements, for connected users.",
)

DELIVERIES = Counter(
    "shirase_deliveries_total",
    "Attempts to deliver on a channel outside the inbox, by outcome.",
    ["channel", "result"],  # sent, retried, held (quiet hours), skipped, cancelled, dead
)

WEBHOOKS = Counter(
    "shirase_webhook_requests_total",
    "Events that webhooks accepted, requests that failed, and webhooks that were paused because of it.",
    ["result"],  # accepted, failed, paused
)

RELAY_REPAIRED = Counter("shirase_relay_repaired_events_total", "Events that the relay published.")
RELAY_HINTED = Counter("shirase_relay_hinted_streams_total", "Streams that the relay had a node read again.", ["node"])
RELAY_REMOVED = Counter(
    "shirase_relay_removed_total", "What the relay removed because its time was over.", ["what"]
)  # notifications, events, keys
RELAY_ROUND = Gauge(
    "shirase_relay_last_round_timestamp_seconds",
    "When a relay last finished a round with the database available (Unix time).",
    multiprocess_mode="mostrecent",
)

for _counter, _values in (
    (PUBLISHED, ("accepted", "partial", "failed", "unneeded")),
    (AGE, ("publish", "relay", "replay")),
    (CONNECTS, ("new", "resumed", "reset", "deferred", "rejected")),
    (ENDED, ("connection-limit", "revoked", "token-expired")),
    (WEBHOOKS, ("accepted", "failed", "paused")),
    (RELAY_REMOVED, ("notifications", "events", "keys")),
):
    for _value in _values:
        _counter.labels(_value)  # exported as 0 from the start, so that the first one is an increase


def serve(host: str, port: int) -> None:
    """Serve this process's metrics on a port of its own, from a daemon thread.

    Raises:
        OSError: if the port cannot be bound.
    """
    start_http_server(port, host)


def observe_ages(way: str, created: Iterable[datetime], now: datetime) -> None:
    """Observe the age of events when the proxy received them; a clock that was set back never gives a negative age."""
    ages = AGE.labels(way)
    # Events of one transaction have the same age, and the library cannot observe many equal values at once.
    for moment, number in Counted(created).items():
        age = max(0.0, (now - moment).total_seconds())
        ages._sum.inc(age * number)  # noqa: SLF001
        ages._buckets[bisect_left(ages._upper_bounds, age)].inc(number)  # noqa: SLF001
