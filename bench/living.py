"""``python -m bench.living``: what a replace costs beside a create.

On both databases in one run. Creates and replaces alternate, so that a busy machine slows both.
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from bench.designs import Shirase
from bench.load import request, send
from shirase.store.migrate import migrate
from tests.support.postgres import cluster

USERS = 200
ROUNDS = 5
CLIENTS = 8
KEYED = {"type": "build.progress", "title": "Build", "message": "m" * 200, "priority": "normal"}


def main() -> None:
    """Measure, and print one line a figure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each round at full load")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
        for name, design in _designs(Path(directory)):
            sys.stdout.write(f"{name}: a replace costs {_replace_cost(design, options.seconds):.2f} x a create\n")


def _designs(directory: Path) -> Iterator[tuple[str, Shirase]]:
    with cluster() as running:
        for name, url in (("sqlite", f"sqlite:///{directory / 'living.db'}"), ("postgresql", running.create("living"))):
            migrate(url)
            with _started(Shirase(name, url, directory / name, running if name == "postgresql" else None)) as design:
                yield name, design


@contextmanager
def _started(design: Shirase) -> Iterator[Shirase]:
    with design.stack:
        yield design
    design.engine.dispose()


def _replace_cost(design: Shirase, seconds: float) -> float:
    """The median of the rounds: time of a replace over time of a create, at full load."""
    token = design.stack.token("producer", "notifications:write")
    creates = [_request(token, "POST", "", {**KEYED, "user_id": f"user-{n}"}) for n in range(USERS)]
    replaces = [
        _request(token, "PUT", "/keys/build", {**KEYED, "user_id": f"user-{n % USERS}", "title": f"Build {n}"})
        for n in range(USERS * 7)
    ]
    send(design.origin, replaces, clients=CLIENTS, count=USERS)
    ratios = []
    for _ in range(ROUNDS):
        created = send(design.origin, creates, clients=CLIENTS, seconds=seconds).all_as(201)
        replaced = send(design.origin, replaces, clients=CLIENTS, seconds=seconds).all_as(200)
        ratios.append((replaced.seconds / replaced.finished) / (created.seconds / created.finished))
    return statistics.median(ratios)


def _request(token: str, method: str, path: str, body: dict[str, str]) -> bytes:
    return request(method, f"/api/notifications{path}", token, orjson.dumps(body))


if __name__ == "__main__":
    main()
