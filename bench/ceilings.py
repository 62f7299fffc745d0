"""The ceiling of the database alone: inserting and committing the row that a create must write."""

import statistics
import threading
import time

import orjson
import psycopg

from bench.designs import CONTENT
from bench.measures import Figures, Size, user

_TABLE = """
CREATE TABLE IF NOT EXISTS bare (
    id bigserial PRIMARY KEY, user_id varchar(255), type varchar(100), title varchar(200), message text, payload text,
    created_at timestamptz DEFAULT now()
)
"""
_INSERT = "INSERT INTO bare (user_id, type, title, message, payload) VALUES (%s, %s, %s, %s, %s)"
_BULK = f"{_INSERT.partition('VALUES')[0]} SELECT unnest(%s::text[]), %s, %s, %s, %s"
_TEXTS = (CONTENT["type"], CONTENT["title"], CONTENT["message"], orjson.dumps(CONTENT["payload"]).decode())


def bare_inserts(url: str, size: Size) -> dict[str, Figures]:
    """Measure single inserts on one connection and on one per client, and one insert of many rows."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLE)
    alone = _insert(url, size.seconds / 2)
    taken: list[list[float]] = []
    threads = [
        threading.Thread(target=lambda: taken.append(_insert(url, size.seconds / 2))) for _ in range(size.clients)
    ]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = sum(map(len, taken)) / (time.perf_counter() - start)
    return {
        "latency": _times(alone),
        "creates": {"per_second": rate, **_times([item for some in taken for item in some])},
        "broadcast": _times(_insert_many(url, size)),
    }


def _insert(url: str, seconds: float) -> list[float]:
    taken: list[float] = []
    with psycopg.connect(url, autocommit=True) as connection:
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            connection.execute(_INSERT, (user(len(taken) % 1000), *_TEXTS))
            taken.append(time.perf_counter() - began)
    return taken


def _insert_many(url: str, size: Size) -> list[float]:
    taken: list[float] = []
    users = [user(n) for n in range(size.broadcast)]
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(3):
            began = time.perf_counter()
            connection.execute(_BULK, (users, *_TEXTS))
            taken.append(time.perf_counter() - began)
    return taken


def _times(taken: list[float]) -> Figures:
    ordered = sorted(taken)
    return {"p50_ms": statistics.median(ordered) * 1000, "p99_ms": ordered[len(ordered) * 99 // 100] * 1000}
