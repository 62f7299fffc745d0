"""The curves of growth, as images."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt


def draw(results: dict[str, Any], directory: Path) -> None:
    """Write ``growth.png`` (rows; dotted: a database that stays small) and ``streams.png`` (connections)."""
    figure, axes = plt.subplots(1, len(results["growth"]), figsize=(11, 4), sharey=True, squeeze=False)
    for axis, (name, steps) in zip(axes[0], results["growth"].items(), strict=True):
        rows = [int(number) for number in steps]
        for kind in next(iter(steps.values()))["grown"]:
            (line,) = axis.plot(rows, [step["grown"][kind] for step in steps.values()], marker="o", label=kind)
            small = [step["small"][kind] for step in steps.values()]
            axis.plot(rows, small, color=line.get_color(), linestyle=":", linewidth=1)
        axis.set(title=name, xscale="log", xlabel="rows", ylabel="ms (p50)", ylim=(0, None))
        axis.legend()
    _write(figure, directory / "growth.png", results)

    figure, (memory, create) = plt.subplots(1, 2, figsize=(11, 4))
    for name, item in results["held"].items():
        numbers = [int(number) for number in item["steps"]]
        steps = list(item["steps"].values())
        for part in ("python", "proxy"):
            if any(step[f"{part}_kb"] for step in steps):
                megabytes = [step[f"{part}_kb"] * number / 1024 for number, step in zip(numbers, steps, strict=True)]
                memory.plot(numbers, megabytes, marker="o", label=f"{name}: {part}")
        create.plot(numbers, [step["create_p50_ms"] for step in steps], marker="o", label=name)
    memory.set(title="memory beyond that without streams", xlabel="streams", ylabel="MB", ylim=(0, None))
    create.set(title="one create or publish", xlabel="streams", ylabel="ms (p50)", ylim=(0, None))
    memory.legend()
    create.legend()
    _write(figure, directory / "streams.png", results)


def _write(figure: Any, path: Path, results: dict[str, Any]) -> None:
    figure.suptitle(f"{results['machine']}, {results['date']}", fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)
