"""An announcement to many users, few of them connected."""

import time

import httpx
import orjson
from sqlalchemy import text

from bench.designs import CONTENT, SETTLED, Shirase
from bench.load import Lost, request, send, streams
from bench.measures import Figures, Size, most_open

KNOW = {
    "postgresql": "INSERT INTO shirase_streams (user_id, head, unread)"
    " SELECT 'known-' || n, 0, 0 FROM generate_series(1, {number}) AS n",
    "sqlite": "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {number})"
    " INSERT INTO shirase_streams (user_id, head, unread) SELECT 'known-' || n, 0, 0 FROM numbers",
}
TABLES = ("announcements", "notifications", "events")


def announcement(design: Shirase, size: Size) -> Figures:
    """Measure from the POST to its answer, and to the arrival at each of the connected users.

    Raises:
        Lost: if a stream lacks it or has it twice, an absent user does not count it, or more rows were written than
            two a connected user and one.
    """
    with design.engine.begin() as connection:
        connection.execute(text(KNOW[connection.dialect.name].format(number=size.known)))
    with design.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("ANALYZE"))
    _wait_until_nobody_is_connected(design)
    expected = [design.stream(f"known-{number}") for number in range(1, size.connected + 1)]
    with streams(design.address, expected, in_flight=size.in_flight) as held:
        opened = most_open(held.opened, size.connected)
        time.sleep(size.settling)
        before = _rows(design)
        body = orjson.dumps({**CONTENT, "topic": "everyone"})
        token = design.stack.token("announcer", "notifications:write")
        answered = send(design.address, [request("POST", "/api/announcements", token, body)], count=1).all_as(201)
        deadline = time.monotonic() + SETTLED
        while (seen := held.report()).stamps < opened:
            if time.monotonic() > deadline:
                raise Lost(f"{seen.stamps} of {opened} streams have the announcement")
            time.sleep(0.05)
        time.sleep(0.5)
        seen, written = held.report(), _rows(design) - before
    # Pushpin may have cancelled a few streams while others opened: their users count as connected for a while.
    if seen.greatest != 1 or written > 2 * size.connected + 1:
        raise Lost(f"{seen.greatest} times at one stream, and {written} rows were written")
    if (count := _first_count(design, f"known-{size.known}")) != 1:
        raise Lost(f"an absent user counts {count} unread")
    times = {"p50_ms": seen.p50_ms, "p99_ms": seen.p99_ms, "all_ms": seen.max_ms}
    return {**times, "answer_ms": answered.p50_ms, "rows": written}


def _wait_until_nobody_is_connected(design: Shirase) -> None:
    """Wait until the registry has no stream of an earlier measurement: its user would get the announcement too."""
    deadline = time.monotonic() + SETTLED
    while left := design.count("connections WHERE ended_at IS NULL"):
        if time.monotonic() > deadline:
            raise Lost(f"{left} streams that have ended count as open")
        time.sleep(0.1)


def _rows(design: Shirase) -> int:
    return sum(design.count(table) for table in TABLES)


def _first_count(design: Shirase, user: str) -> int:
    """Open a stream; return the unread count of its ``connected``."""
    headers = {"Authorization": f"Bearer {design.stack.token(user)}"}
    url = f"http://{design.address}/api/sse/notifications"
    with httpx.stream("GET", url, headers=headers, timeout=SETTLED) as answer:
        data = next(line for line in answer.iter_lines() if line.startswith("data: "))
    return int(orjson.loads(data.removeprefix("data: "))["unread_count"])
