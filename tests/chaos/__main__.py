"""``python -m tests.chaos --seconds 60 --seed 7 --database postgresql``: break everything, then compare everything."""

import argparse
import random
import sys

from tests.chaos.chaos import Options, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of the faults (60)")
    parser.add_argument("--seed", type=int, help="of the schedule; random by default")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="both by default, one after the other")
    parser.add_argument("--users", type=int, default=12, help="each with two devices (12)")
    parser.add_argument("--nodes", type=int, default=2, help="Pushpin nodes (2)")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    passed = True
    for database in [options.database] if options.database else ["sqlite", "postgresql"]:
        report = run(Options(seed, options.seconds, database, options.users, options.nodes), _print)
        _print(str(report))
        _print(
            "passed" if report.passed else f"FAILED: --seed {seed} --database {database} --seconds {options.seconds:g}"
        )
        passed = passed and report.passed
    return 0 if passed else 1


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is a command


if __name__ == "__main__":
    sys.exit(main())
