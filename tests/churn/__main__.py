"""``python -m tests.churn --seconds 180 --streams 2000 --users 500``: open and close, then compare the registry."""

import argparse
import random
import sys

from tests.churn.churn import Options, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.churn", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="for how long streams open and close (180)")
    parser.add_argument("--streams", type=int, default=2000, help="open at a time, on the average (2000)")
    parser.add_argument("--users", type=int, default=500, help="whose they are (500)")
    parser.add_argument("--rate", type=float, default=60.0, help="openings and closings a second (60)")
    parser.add_argument("--seed", type=int, help="by default another each time")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="by default both, one after the other")
    given = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    passed = True
    for database in [given.database] if given.database else ["sqlite", "postgresql"]:
        report = run(Options(seed, given.seconds, database, given.streams, given.users, given.rate), _say)
        _say(str(report))
        passed = passed and report.passed
    return 0 if passed else 1


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is a command


if __name__ == "__main__":
    sys.exit(main())
