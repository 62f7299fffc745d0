"""Reads raced against due deliveries: nothing is sent that was read before its claim, and all that was not read is.

python -m tests.support.read_races --races 10000
"""

import logging
import random
import secrets
import sys
import tempfile
import threading
import time
from argparse import ArgumentParser
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import orjson
from sqlalchemy import text

from shirase.inbox import inbox, notifications
from shirase.proxy.publisher import Publisher
from shirase.relay import deliveries as relay
from shirase.settings import Settings
from shirase.store.database import Database
from shirase.store.migrate import migrate
from shirase.types import CANCELLED, SENT, Draft
from tests.support.content import content, made
from tests.support.letterbox import Letterbox
from tests.support.postgres import cluster

ROUND = 100  # notifications that are due at once, each of another user
READERS, RELAYS = 2, 2
CLAIMED = 3  # deliveries that a relay claims together
UNREAD = 0.1  # of the notifications are not read, and must be sent
NOBODY = "http://127.0.0.1:1"  # a control port that nothing listens on
POLICY = (
    "INSERT INTO shirase_types (type, label, description) VALUES ('a.b', 'A', '')",
    "INSERT INTO shirase_policies (type, step, channel, after) VALUES ('a.b', 0, 'email', 0)",
)


@dataclass
class Races:
    """The results."""

    count: int = 0
    won: Counter[str] = field(default_factory=Counter)  # by the read, or by the claim
    wrong: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Format the figures."""
        lines = [f"{self.count} races, won by: {dict(self.won)}; wrong: {len(self.wrong)}"]
        return "\n".join(lines + self.wrong[:10])


def run(database_url: str, races: int, seed: int) -> Races:
    """Race on an empty, migrated database."""
    settings = Settings(
        database_url=database_url,
        grip_url=(NOBODY,),
        pushpin_sig_key=secrets.token_hex(32),
        jwt_secret=secrets.token_hex(32),
    )
    result, chance, publisher = Races(), random.Random(seed), Publisher(settings)
    with ExitStack() as opened, ThreadPoolExecutor(READERS + RELAYS) as threads:
        # Of each reader and relay, as if it were a process of its own.
        databases = [opened.enter_context(closing(Database(database_url))) for _ in range(READERS + RELAYS)]
        with databases[0].transaction() as db:
            for statement in POLICY:
                db.execute(text(statement))
        while result.count < races:
            _round(databases, publisher, threads, chance, result)
    return result


def _round(
    databases: list[Database], publisher: Publisher, threads: ThreadPoolExecutor, chance: random.Random, result: Races
) -> None:
    drafts = [Draft(f"user {number}", content()) for number in range(ROUND)]
    body, _ = notifications.create(
        databases[0], publisher, drafts, answer=lambda all_: orjson.dumps([made(item).id for item in all_]).decode()
    )
    of_user = {number: draft.user_id for number, draft in zip(orjson.loads(body), drafts, strict=True)}
    read = chance.sample(sorted(of_user), k=int(ROUND * (1 - UNREAD)))
    answered: dict[int, datetime] = {}
    boxes = [Letterbox() for _ in range(RELAYS)]
    start = threading.Barrier(READERS + RELAYS)

    def reader(database: Database, numbers: list[int]) -> None:
        start.wait()
        for number in numbers:
            inbox.mark_read(database, publisher, of_user[number], [number])
            answered[number] = datetime.now(UTC)

    def deliver(database: Database, box: Letterbox) -> None:
        box.batch = CLAIMED
        start.wait()
        relay.deliver(database, box)

    running = [threads.submit(reader, databases[n], read[n::READERS]) for n in range(READERS)]
    running += [threads.submit(deliver, databases[READERS + n], box) for n, box in enumerate(boxes)]
    for step in running:
        step.result()
    _judge(databases[0], set(of_user), boxes, answered, result)


def _judge(
    database: Database, numbers: set[int], boxes: list[Letterbox], answered: dict[int, datetime], result: Races
) -> None:
    with database.autocommit() as db:
        query = "SELECT notification_id, state FROM shirase_deliveries WHERE notification_id >= :first"
        states = {row[0]: row[1] for row in db.execute(text(query), {"first": min(numbers)})}
    items = [item for box in boxes for item in box.sent]
    times = Counter(item.notification.id for item in items)
    claimed_at = {
        item.notification.id: item.delivery.claimed_until - relay.LEASE for item in items if item.delivery.claimed_until
    }
    for number in sorted(numbers):
        result.won["read" if number not in times else "claim"] += number in answered
        if times[number] > 1:
            result.wrong.append(f"{number} was sent {times[number]} times")
        if states[number] != (SENT if number in times else CANCELLED):
            result.wrong.append(f"{number} was sent {times[number]} times and is {states[number]}")
        if number not in times and number not in answered:
            result.wrong.append(f"{number} was neither read nor sent")
        if number in times and number in answered and answered[number] < claimed_at[number]:
            result.wrong.append(f"{number} was read at {answered[number]} and claimed at {claimed_at[number]}")
    result.count += len(answered)


def main() -> int:
    """Race on both databases."""
    logging.disable()  # no control port answers
    parser = ArgumentParser(prog="python -m tests.support.read_races", description=__doc__)
    parser.add_argument("--races", type=int, default=10_000, help="on each database (10,000)")
    parser.add_argument("--seed", type=int, help="random by default")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="both by default")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    wrong = 0
    with cluster() as postgres, tempfile.TemporaryDirectory(prefix="shirase-races-") as directory:
        urls = {"sqlite": f"sqlite:///{Path(directory) / 'shirase.db'}", "postgresql": postgres.create("races")}
        for name in [options.database] if options.database else urls:
            url = urls[name]
            migrate(url)
            began = time.monotonic()
            result = run(url, options.races, seed)
            wrong += len(result.wrong)
            sys.stdout.write(f"{name}, seed {seed}, {time.monotonic() - began:.0f} s: {result}\n")
            sys.stdout.flush()
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
