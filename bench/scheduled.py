"""``python -m bench.scheduled``: how late scheduled notifications are published when many are due in one minute.

On both databases. The relay asks what is due about every half second, so half of that is the usual lateness.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
from sqlalchemy import text

from bench.designs import Shirase
from bench.load import Lost, request, send
from shirase.fields import rfc3339
from shirase.store.migrate import migrate
from tests.support.postgres import cluster

USERS = 1000
CLIENTS = 16
SPAN = 60.0  # seconds over which they are due
LONGEST = 30.0  # seconds that the last may be late
PUBLISHED = text(
    "SELECT e.published_at, n.payload FROM shirase_events e JOIN shirase_notifications n ON n.id = e.notification_id"
    " WHERE e.published_at IS NOT NULL"
)


def main() -> None:
    """Measure, and print one line a database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--number", type=int, default=10_000, help="of scheduled notifications (10,000)")
    number = parser.parse_args().number
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        for name, design in _designs(Path(directory)):
            with design:
                late = _lateness(design, number)
            p99 = statistics.quantiles(late, n=100)[98]
            sys.stdout.write(
                f"{name}: {number} due within {SPAN:.0f} s, late by {statistics.median(late):.2f} s in the median,"
                f" p99 {p99:.2f} s, at most {max(late):.2f} s\n"
            )


def _designs(directory: Path) -> Iterator[tuple[str, Shirase]]:
    with cluster() as running:
        for name, url in (("sqlite", f"sqlite:///{directory / 'late.db'}"), ("postgresql", running.create("late"))):
            migrate(url)
            yield name, Shirase(name, url, directory / name, running if name == "postgresql" else None)


def _lateness(design: Shirase, number: int) -> list[float]:
    """Schedule through REST, wait until all are published, and return by how many seconds each was late.

    Raises:
        Lost: if some are not published.
    """
    token = design.stack.token("producer", "notifications:write")
    first = datetime.now(UTC) + timedelta(seconds=number / 200)  # when all are stored, on a slow machine too
    expected = [_request(token, n % USERS, first + timedelta(seconds=SPAN * n / number)) for n in range(number)]
    send(design.origin, expected, clients=CLIENTS, count=number).all_as(202)
    deadline = (first - datetime.now(UTC)).total_seconds() + time.monotonic() + SPAN + LONGEST
    while True:
        with design.engine.connect() as db:
            published = db.execute(PUBLISHED).all()
        if len(published) == number:
            return [_instant(at) - float(orjson.loads(payload)["due"]) for at, payload in published]
        if time.monotonic() > deadline:
            raise Lost(f"{len(published)} of {number} scheduled notifications are published")
        time.sleep(1)


def _request(token: str, user: int, due: datetime) -> bytes:
    body = {
        "user_id": f"user-{user}",
        "type": "bench.due",
        "title": "Due",
        "message": "m" * 100,
        "payload": {"due": due.timestamp()},
        "send_at": rfc3339(due),
    }
    return request("POST", "/api/notifications", token, orjson.dumps(body))


def _instant(value: datetime | str) -> float:
    """Unix time of a stored instant; SQLite returns it as text without a zone."""
    instant = datetime.fromisoformat(value) if isinstance(value, str) else value
    return (instant if instant.tzinfo else instant.replace(tzinfo=UTC)).timestamp()


if __name__ == "__main__":
    main()
