"""Processor time and memory of processes, as Linux counts them."""

import os
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def tree(root: int) -> list[int]:
    """Return a process and its descendants."""
    result = [root]
    for pid in result:
        with suppress(OSError):  # ended meanwhile
            for children in Path(f"/proc/{pid}/task").glob("*/children"):
                result += map(int, children.read_text().split())
    return result


def processor_seconds(pids: Iterable[int]) -> float:
    """Return the processor time of running processes since their start."""
    used = 0.0
    for pid in pids:
        with suppress(OSError):
            used += _used(Path(f"/proc/{pid}/stat"))
    return used


def thread_seconds(name: str) -> float:
    """Return the processor time of this process's threads of that name."""
    numbers = (thread.native_id for thread in threading.enumerate() if thread.name == name)
    return sum(_used(Path(f"/proc/self/task/{number}/stat")) for number in numbers)


def _used(stat: Path) -> float:
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_kb(pids: Iterable[int]) -> int:
    """Return the kilobytes of private memory: mapped files are shared with other processes."""
    total = 0
    for pid in pids:
        with suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss_Anon:"))
    return total


def model() -> str:
    """Describe this machine."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{os.cpu_count()} cores of {names[0] if names else os.uname().machine}, Linux {os.uname().release}"
