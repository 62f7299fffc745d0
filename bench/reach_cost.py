"""``python -m bench.reach_cost``: what preferences, deliveries and webhooks cost a create that uses none of them.

On both databases, with commits that reach the disk. Three databases take turns within one run: one as it is, one
without the webhooks' trigger, and one that also appends without reading types, preferences and policies.
"""

import argparse
import random
import secrets
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import patch

from sqlalchemy import CTE, FromClause, Insert, false, func, literal, select, text

from bench.designs import server_pids
from bench.run import DURABLE
from shirase.inbox import notifications
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import append
from shirase.store.database import Database
from shirase.store.migrate import migrate
from shirase.types import Draft
from tests.support.content import content
from tests.support.postgres import Cluster, cluster

WHOLE, NO_TRIGGER, PLAIN = "as it is", "without the trigger", "also without preferences and policies"
DROP = {
    "postgresql": "DROP TRIGGER shirase_events_to_webhooks ON shirase_events",
    "sqlite": "DROP TRIGGER shirase_events_to_webhooks",
}
USERS = 1000
TURN = 20  # creates in a row on one database
NOBODY = "http://127.0.0.1:1"


def main() -> None:
    """Measure, and print one line a design."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help=f"of {TURN} creates on each (200)")
    rounds = parser.parse_args().rounds
    with cluster(DURABLE) as running, tempfile.TemporaryDirectory(prefix="bench-") as directory:
        for kind in ("sqlite", "postgresql"):
            urls = {
                name: running.create(f"cost_{number}")
                if kind == "postgresql"
                else f"sqlite:///{Path(directory) / f'{number}.db'}"
                for number, name in enumerate((WHOLE, NO_TRIGGER, PLAIN))
            }
            costs = measure(kind, urls, rounds, running if kind == "postgresql" else None)
            least = statistics.median(costs[PLAIN])
            for name, taken in costs.items():
                median = statistics.median(taken)
                more = (median / least - 1) * 100
                sys.stdout.write(f"{kind}, {name}: {median:.3f} ms of a processor a create, {more:+.1f} %\n")


def measure(kind: str, urls: dict[str, str], rounds: int, cluster: Cluster | None) -> dict[str, list[float]]:
    """Return milliseconds of processor time a create, of Python and the database together, by design and turn."""
    costs: dict[str, list[float]] = defaultdict(list)
    with ExitStack() as opened:
        creates = {name: opened.enter_context(_creates(kind, name, url)) for name, url in urls.items()}
        for number in range(rounds):
            order = random.sample(sorted(creates), k=len(creates))
            for name in order:
                pids = server_pids(cluster)
                with _appending(name):
                    began = _used(pids)
                    for _ in range(TURN):
                        creates[name]()
                    used = _used(pids) - began
                if number:  # the first round warms up
                    costs[name].append(used / TURN)
    return {name: costs[name] for name in urls}


def _used(pids: list[int]) -> float:
    """Milliseconds of a processor that this process and these have used; a busy machine does not change it much."""
    nanoseconds = 0
    for pid in pids:
        with suppress(OSError):  # ended meanwhile
            nanoseconds += int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
    return time.process_time() * 1000 + nanoseconds / 1e6


@contextmanager
def _creates(kind: str, name: str, url: str) -> Iterator[Callable[[], None]]:
    migrate(url)
    settings = Settings(
        database_url=url, grip_url=(NOBODY,), pushpin_sig_key=secrets.token_hex(32), jwt_secret=secrets.token_hex(32)
    )
    with closing(Database(url)) as database:
        publisher = Publisher(settings)
        if name != WHOLE:
            with database.transaction() as db:
                db.execute(text(DROP[kind]))

        def create() -> None:
            user = f"user-{random.randrange(USERS)}"  # noqa: S311 - any will do
            draft = Draft(user, content(message="m" * 200))
            notifications.create(database, publisher, [draft], answer=lambda _: "")

        for _ in range(USERS):
            create()
        with database.autocommit() as db:
            db.execute(text("ANALYZE"))
        yield create


@contextmanager
def _appending(name: str) -> Iterator[None]:
    """Build the statements of the design; both are built once, and kept here."""
    built = ("_append_at_once", "_advance_on_sqlite")
    with ExitStack() as patched:
        if name == PLAIN:
            for attribute in built:
                patched.enter_context(patch.object(append, attribute, _plain(attribute)))
        yield


_BUILT: dict[tuple[str, str], Any] = {}


def _plain(attribute: str) -> Callable[..., Any]:
    def build(**options: Any) -> Any:
        key = (attribute, str(options))
        if key not in _BUILT:
            with patch.object(append, "_places", _all_places), patch.object(append, "planning", _no_planning):
                _BUILT[key] = _ORIGINAL[attribute](**options)
        return _BUILT[key]

    return build


def _all_places(place: FromClause, contents: FromClause) -> tuple[CTE, CTE]:
    number = func.row_number().over(partition_by=place.c.user_id, order_by=place.c.ord.desc())
    kept = select(place.c.user_id, place.c.k, place.c.ord, (number - 1).label("after"))
    kept = kept.join_from(place, contents, place.c.k == contents.c.k)
    return kept.cte("kept"), select(place.c.ord).where(false()).cte("muted")


def _no_planning(_dialect: str, _stored: FromClause) -> Insert:
    nothing: Any = select(literal(1))
    return nothing  # type: ignore[no-any-return]


_ORIGINAL = {name: getattr(append, name).__wrapped__ for name in ("_append_at_once", "_advance_on_sqlite")}


if __name__ == "__main__":
    main()
