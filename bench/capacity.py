"""``python -m bench.capacity``: what a number of streams and of creates takes, from the figures of ``results.json``."""

import sys
from math import ceil
from pathlib import Path
from typing import Any

import orjson

RESULTS = Path(__file__).with_name("results.json")
DESIGN = "Shirase, PostgreSQL"
STREAMS = (10_000, 100_000, 1_000_000)
CREATES = (100, 1000, 10_000)  # a second
OF_NODE = 15_000  # streams, the most that were measured
REOPENED = 3600  # seconds after which a stream is opened again, as an assumption
ROW_KB = 1.0  # on disk, of a notification of 160 bytes with its event and indexes
RETENTION = 30 * 24 * 3600  # seconds, the default
PARTS = ("python", "proxy", "database")


def table(results: dict[str, Any]) -> str:
    """Both tables, as Markdown."""
    figures = {name: of_design.get(DESIGN, {}) for name, of_design in results["figures"].items()}
    held = results["held"][DESIGN]
    memory_kb = list(held["steps"].values())[-1]["proxy_kb"]  # of the most streams
    idle = held["idle"]["proxy_core"] / 5000  # cores a stream
    lines = ["| streams | nodes | proxy's memory | idle cores | connects a second | cores for them: " + _names() + " |"]
    lines.append("|---|---|---|---|---|---|")
    for number in STREAMS:
        connects = number / REOPENED
        cores = " + ".join(f"{connects * figures['connects'][f'{part}_ms'] / 1000:.2f}" for part in PARTS)
        nodes, memory = ceil(number / OF_NODE), number * memory_kb / 1e6
        lines.append(f"| {number:,} | {nodes} | {memory:.1f} GB | {number * idle:.1f} | {connects:.0f} | {cores} |")
    lines += ["", "| creates a second | cores: " + _names() + " | in batches of 100 | rows in 30 days | disk |"]
    lines.append("|---|---|---|---|---|")
    for number in CREATES:
        alone, batched = (
            " + ".join(f"{number * figures[name][f'{part}_ms'] / 1000:.2f}" for part in PARTS)
            for name in ("creates at the origin", "batches of 100")
        )
        rows = number * RETENTION
        lines.append(
            f"| {number:,} | {alone} | {batched} | {rows / 1e6:,.0f} million | {rows * ROW_KB / 1e9:,.1f} TB |"
        )
    return "\n".join(lines) + "\n"


def _names() -> str:
    return " + ".join(PARTS)


if __name__ == "__main__":
    sys.stdout.write(table(orjson.loads(RESULTS.read_bytes())))
