"""``python -m bench``: measure everything, write the tables into docs/benchmarks.md, draw the curves."""

import argparse
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import orjson

from bench import capacity, curves, report
from bench.load import Lost
from bench.measures import QUICK, Size
from bench.run import run

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"


def main() -> int:
    """Run; exit with 1 if something was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="seconds instead of minutes: shows only that it works")
    parser.add_argument("--rounds", type=int, help="rounds per design")
    parser.add_argument("--rows", type=int, help="size that the databases grow to (1,000,000)")
    parser.add_argument("--output", type=Path, default=HERE, help="where to write instead of here and docs")
    options = parser.parse_args()
    size = QUICK if options.quick else Size()
    if options.rounds:
        size = replace(size, rounds=options.rounds)
    if options.rows:
        steps = [10**power for power in range(4, 9) if 10**power < options.rows]
        size = replace(size, rows=(*steps, options.rows))
    try:
        with tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True) as directory:
            results = run(size, Path(directory), print_progress)
    except Lost as lost:
        sys.stderr.write(f"lost: {lost}\n")
        return 1
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "results.json").write_bytes(orjson.dumps(results, option=orjson.OPT_INDENT_2))
    curves.draw(results, options.output)
    table = report.table(results)
    if options.output == HERE:
        for name, tables in (("benchmarks.md", table), ("capacity.md", capacity.table(results))):
            page = DOCS / name
            page.write_text(report.insert(tables, page.read_text()))
    sys.stdout.write(table)
    return 0


def print_progress(line: str) -> None:
    """Print progress to stderr."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
