"""Applications killed with SIGKILL around their commit: a notification arrives if and only if the row is committed.

python -m tests.support.kills --kills 200
"""

import random
import tempfile
import threading
import time
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import httpx
from sqlalchemy import text

from shirase.store.database import Database
from shirase.store.migrate import migrate
from tests.support.browser_like import Browsers
from tests.support.hosts import INBOXES, Host, django_host, fastapi_host, flask_host, mounts
from tests.support.postgres import cluster
from tests.support.stack import Stack

USER = "candidate"
ROWS = {
    "flask": "SELECT title FROM interviews WHERE candidate = :user",
    "fastapi": "SELECT title FROM meetings WHERE candidate = :user",
    "django": "SELECT title FROM hiring_interview JOIN auth_user ON auth_user.id = candidate_id WHERE username = :user",
}
REPEATED = ("fastapi",)  # the proxy repeats what uvicorn's connections lose, so that no row is missing after a kill
MEASURED = 10  # requests to measure their duration
SPAN = 1.3  # of that duration, over which the kills are spread
MOST = 6  # times as many kills as requested, until both sides of the commit were hit
ARRIVAL = 30.0
SEEN = 2.0  # seconds to wait for a row


@dataclass(frozen=True, slots=True)
class Killed:
    """The results."""

    kills: int
    rows: int  # committed by requests in progress when the application was killed
    unanswered: int  # of these, rows whose producer got no answer: killed between commit and answer
    lost: list[str]  # rows whose notification did not arrive
    ghosts: list[str]  # notifications that arrived without a row
    twice: list[str]  # notifications that arrived more often than there are rows

    @property
    def holds(self) -> bool:
        """Whether the promise was kept."""
        return not (self.lost or self.ghosts or self.twice)

    @property
    def hit_both_sides(self) -> bool:
        """Whether kills hit before and after commits; otherwise the run shows nothing."""
        return self.unanswered > 0 and self.rows < self.kills


def kill_around_commits(name: str, host: Host, browsers: Browsers, database: Database, kills: int, seed: int) -> Killed:
    """Kill all workers repeatedly, half at instants spread over a request's duration, half when its row is visible."""
    device = host.open(browsers, USER)
    spread = random.Random(seed)
    usual = median(_time(host, f"measured {number}") for number in range(MEASURED))
    answered: set[str] = set()
    done = 0
    while done < kills or (done < kills * MOST and not _hit(name, database, answered, done)):
        title = f"kill {done}"
        asking = threading.Thread(target=_ask, args=(host, title, answered))
        asking.start()
        if done % 2:  # between commit and answer
            _wait_for(lambda title=title: title in answered or title in _rows(name, database))  # type: ignore[misc]
        else:  # at any instant of the request
            time.sleep(SPAN * usual * ((done % kills) + spread.random()) / kills)
        host.kill_workers()
        asking.join()
        done += 1
    host.schedule(USER, "last")
    rows = _rows(name, database)
    device.wait(lambda seen: seen.titles[-1:] == ["last"] and Counter(rows) <= Counter(seen.titles), ARRIVAL)
    arrived = device.titles
    under_way = [title for title in rows if title.startswith("kill ")]
    return Killed(
        kills=done,
        rows=len(set(under_way)),
        unanswered=_unanswered(under_way, answered),
        lost=sorted(set(rows) - set(arrived)),
        ghosts=sorted(set(arrived) - set(rows)),
        twice=sorted((Counter(arrived) - Counter(rows)).keys() & set(rows)),
    )


def _wait_for(condition: Callable[[], bool]) -> None:
    """Wait, but not for ever: the previous kill may have cut the request off."""
    deadline = time.monotonic() + SEEN
    while not condition() and time.monotonic() < deadline:
        pass


def _hit(name: str, database: Database, answered: set[str], done: int) -> bool:
    under_way = [title for title in _rows(name, database) if title.startswith("kill ")]
    return _unanswered(under_way, answered) > 0 and (name in REPEATED or len(set(under_way)) < done)


def _unanswered(rows: list[str], answered: set[str]) -> int:
    """Count rows whose producer got no answer for them.

    Of a title with two rows one has none: on a connection that the host keeps, as uvicorn does, the proxy repeats a
    request whose connection dies before the answer, and the host's route commits a second row.
    """
    return len(rows) - len(set(rows) & answered)


def _ask(host: Host, title: str, answered: set[str]) -> None:
    try:
        host.schedule(USER, title)
    except (httpx.TransportError, AssertionError):  # cut off, or the proxy's 502
        return
    answered.add(title)


def _time(host: Host, title: str) -> float:
    begun = time.monotonic()
    host.schedule(USER, title)
    return time.monotonic() - begun


def _rows(name: str, database: Database) -> list[str]:
    """Return the titles of the candidate's own interviews; other tests schedule for others."""
    with database.autocommit() as db:
        return list(db.scalars(text(ROWS[name]), {"user": USER}))


@contextmanager
def hosts(url: str, data_dir: Path) -> Iterator[dict[str, Host]]:
    """The examples on one database, behind one proxy, with a relay."""
    places = mounts()
    with ExitStack() as started:
        stack = started.enter_context(Stack(url, data_dir, mounts=places, inboxes=INBOXES))
        yield {
            "flask": started.enter_context(flask_host(stack, places["/hiring/"], [USER])),
            "django": started.enter_context(django_host(stack, places["/site/"], [USER])),
            "fastapi": started.enter_context(fastapi_host(stack, places["/meetings/"], [USER])),
        }


def main() -> None:
    """Kill each application this many times on PostgreSQL, and print the results."""
    options = ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--host", choices=sorted(ROWS), action="append", help="this one alone; may be repeated")
    arguments = options.parse_args()
    with ExitStack() as started:
        url = started.enter_context(cluster()).create("kills")
        migrate(url)
        data_dir = Path(started.enter_context(tempfile.TemporaryDirectory(prefix="shirase-kills-")))
        browsers = started.enter_context(Browsers())
        database = Database(url)
        started.callback(database.close)
        for name, host in started.enter_context(hosts(url, data_dir)).items():
            if name not in (arguments.host or ROWS):
                continue
            result = kill_around_commits(name, host, browsers, database, arguments.kills, arguments.seed)
            print(f"{name}: {result}")  # noqa: T201 - this is a command
            if not (result.holds and result.unanswered and (name in REPEATED or result.hit_both_sides)):
                raise SystemExit(1)


if __name__ == "__main__":
    main()
