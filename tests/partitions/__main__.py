"""``python -m tests.partitions --seconds 60 --seed 7``: cut, slow and half-break a network, then compare everything."""

import argparse
import os
import random
import sys

from tests.chaos.chaos import Options
from tests.partitions.network import why_not
from tests.partitions.partitions import run

IMPOSSIBLE = 3  # exit code


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.partitions", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of the faults (60)")
    parser.add_argument("--seed", type=int, help="of the schedule; random by default")
    parser.add_argument("--users", type=int, default=12, help="each with two devices (12)")
    parser.add_argument("--inside", action="store_true", help="the namespace of this process is for this run alone")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    if not options.inside:
        if reason := why_not():
            _print(reason)
            return IMPOSSIBLE
        again = [sys.executable, "-m", "tests.partitions", "--inside", f"--seconds={options.seconds:g}"]
        os.execvp("unshare", ["unshare", "--net", "--mount", *again, f"--seed={seed}", f"--users={options.users}"])  # noqa: S606
    report = run(Options(seed, options.seconds, "postgresql", options.users), _print)
    _print(str(report))
    _print("passed" if report.passed else f"FAILED: --seed {seed} --seconds {options.seconds:g}")
    return 0 if report.passed else 1


def _print(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - this is a command


if __name__ == "__main__":
    sys.exit(main())
