"""``python -m tests.churn --seconds 180 --streams 2000 --users 500``: open and close, then compare the registry."""

import argparse
import random
import sys

from tests.churn.churn import Options, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.churn", description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="duration (180)")
    parser.add_argument("--streams", type=int, default=2000, help="average number of open streams (2000)")
    parser.add_argument("--users", type=int, default=500, help="number of users (500)")
    parser.add_argument("--rate", type=float, default=60.0, help="opened and closed per second (60)")
    parser.add_argument("--seed", type=int, help="random by default")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="both by default, one after the other")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    passed = True
    for database in [options.database] if options.database else ["sqlite", "postgresql"]:
        report = run(Options(seed, options.seconds, database, options.streams, options.users, options.rate), _print)
        _print(str(report))
        passed = passed and report.passed
    return 0 if passed else 1


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is a command


if __name__ == "__main__":
    sys.exit(main())
