"""The duration of the same requests while the database grows."""

import random
import statistics
from collections.abc import Callable
from contextlib import ExitStack

import orjson
from sqlalchemy import Engine, text

from bench.designs import Shirase
from bench.load import send, streams
from bench.measures import Size

OF_USER = 100  # notifications per user

FIRST_NEW = 10**12  # the id of the next create, above all rows that are filled in later

_CONTINUE = {
    "postgresql": "SELECT setval(pg_get_serial_sequence('shirase_notifications', 'id'),"
    " greatest(:next, (SELECT max(id) FROM shirase_notifications)))",
    "sqlite": "UPDATE sqlite_sequence SET seq = :next WHERE name = 'shirase_notifications' AND seq < :next",
}
_NUMBERS = {
    "postgresql": "SELECT n FROM generate_series(CAST(:first AS bigint), :last) AS n",
    "sqlite": "WITH RECURSIVE s(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM s WHERE n < :last) SELECT n FROM s",
}
_PLACES = (
    "SELECT n, 'grown-' || ((n - 1) / 10000 * 100 + (n - 1) % 100) AS user_id, (n - 1) % 10000 / 100 + 1 AS seq"
    " FROM ({numbers}) AS numbers"
)
_NOTIFICATIONS = (
    "INSERT INTO shirase_notifications (id, user_id, seq, type, title, message, payload, created_at, read_at)"
    " SELECT n, user_id, seq, 'bench.grown', 'Interview ' || n, '{message}', '{{}}', {now},"
    " CASE WHEN seq <= 90 THEN {now} END FROM ({places}) AS places"
)
_EVENTS = (
    "INSERT INTO shirase_events"
    " (user_id, seq, kind, notification_id, unread, tag, previous_tag, created_at, published_at)"
    " SELECT user_id, seq, 'notification', n, 1, 'ffffff', CASE WHEN seq = 1 THEN '' ELSE 'ffffff' END, {now}, {now}"
    " FROM ({places}) AS places"
)
_STREAMS = (
    "INSERT INTO shirase_streams (user_id, head, unread, tag, previous_tag)"
    " SELECT user_id, 100, 10, 'ffffff', 'ffffff' FROM ({places}) AS places WHERE seq = 100"
)


def fill(engine: Engine, first: int, last: int) -> None:
    """Insert the rows from ``first`` to ``last`` as if they had been created long ago."""
    kind = engine.dialect.name
    now = "now()" if kind == "postgresql" else "strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')"
    values = {"message": "Tomorrow at ten. " * 6, "places": _PLACES.format(numbers=_NUMBERS[kind]), "now": now}
    with engine.connect() as connection:
        for statement in (_NOTIFICATIONS, _EVENTS, _STREAMS):
            connection.execute(text(statement.format(**values)), {"first": first, "last": last})
        connection.execute(text(_CONTINUE[kind]), {"next": FIRST_NEW})
        connection.commit()
    # As the database does by itself within minutes of such a change.
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM ANALYZE" if kind == "postgresql" else "ANALYZE"))
        connection.execute(text("CHECKPOINT" if kind == "postgresql" else "PRAGMA wal_checkpoint(TRUNCATE)"))


def grow(growing: Shirase, small: Shirase, size: Size) -> dict[str, dict[str, dict[str, float]]]:
    """Return the median milliseconds of each kind of request by the number of rows, for a growing and a small database.

    Requests alternate between the two, so that the machine's noise affects both: compare the difference.
    """
    result = {}
    fill(small.engine, 1, size.rows[0])
    have = 0
    for rows in size.rows:
        fill(growing.engine, have + 1, rows)
        have = rows
        turns = [
            {
                "grown": _ask(growing, rows // OF_USER, size.asked, turn),
                "small": _ask(small, size.rows[0] // OF_USER, size.asked, turn),
            }
            for turn in range(size.turns)
        ]
        result[str(rows)] = {
            whose: {kind: statistics.median(turn[whose][kind] for turn in turns) for kind in turns[0][whose]}
            for whose in turns[0]
        }
    return result


def _ask(design: Shirase, users: int, count: int, turn: int) -> dict[str, float]:
    chance = random.Random(turn)  # noqa: S311 - the same users in every run
    names = [f"grown-{number}" for number in chance.sample(range(users), count)]
    kinds: dict[str, Callable[[], list[bytes]]] = {
        "list": lambda: [design.ask("GET", "?limit=50", name) for name in names],
        "unread count": lambda: [design.ask("GET", "/unread-count", name) for name in names],
        "create": lambda: [design.create([name], n) for n, name in enumerate(names)],
        # The newest, so that something is unread in every turn.
        "mark read": lambda: [
            design.ask("POST", "/read", name, orjson.dumps({"ids": [latest]}))
            for name, latest in _latest(design, names)
        ],
    }
    send(
        design.address, [design.ask("GET", "/unread-count", name) for name in names[:10]], count=10
    )  # wakes all workers
    taken = {}
    for kind, requests in kinds.items():
        status = 201 if kind == "create" else 200
        taken[kind] = send(design.address, requests(), count=count).all_as(status).p50_ms
    with ExitStack() as stack:
        opened = stack.enter_context(streams(design.address, [design.stream(name) for name in names], in_flight=1))
        taken["connect"] = opened.opened.p50_ms
    return taken


def _latest(design: Shirase, names: list[str]) -> list[tuple[str, int]]:
    """Return the last notification of each user."""
    latest = text("SELECT id FROM shirase_notifications WHERE user_id = :name ORDER BY id DESC LIMIT 1")
    with design.engine.connect() as connection:
        return [(name, connection.execute(latest, {"name": name}).scalar_one()) for name in names]
