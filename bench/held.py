"""The cost of held streams: memory by their number, an idle system, and a storm of reconnects."""

import time
from contextlib import ExitStack

from bench.designs import Design, InMemory, Shirase
from bench.load import send, streams
from bench.machine import memory_kb
from bench.measures import Figures, Size, memory, most_open


def hold(design: Design, size: Size) -> dict[str, object]:
    """Open streams in steps, measure their cost, and end them all at once."""
    before = memory(design)
    steps: dict[str, dict[str, float]] = {"0": _step(design, before, before, 0)}
    idle: Figures = {}
    with ExitStack() as stack:
        have = 0
        for number in size.held:
            if number > size.storm and isinstance(design, InMemory):
                break
            expected = [design.stream(f"held-{n}") for n in range(have, number)]
            held = stack.enter_context(streams(design.address, expected))
            most_open(held.opened, len(expected))
            have = number
            time.sleep(size.settling)
            steps[str(number)] = _step(design, before, memory(design), number)
            if number == size.storm or number == size.held[-1] < size.storm:
                idle = _idle(design, size)
    return {"steps": steps, "idle": idle, "storm": _storm(design, size)}


def _step(design: Design, before: dict[str, int], now: dict[str, int], number: int) -> dict[str, float]:
    """Measure the memory per stream, and a create's latency meanwhile."""
    requests = [design.create([f"held-{n}"], n) for n in range(40)]
    taken = send(design.producers, requests, count=40, pause_ms=5).all_as(design.accepted)
    result = {f"{part}_kb": (now[part] - before[part]) / number if number else 0.0 for part in now}
    relay = memory_kb(design.relay()) if isinstance(design, Shirase) else 0
    result |= {"relay_total_kb": float(relay), "handlers_total_kb": float(now["python"] - relay)}
    return {**result, "create_p50_ms": taken.p50_ms}


def _idle(design: Design, size: Size) -> Figures:
    """Measure the cores used, and the requests to the handlers."""
    time.sleep(size.first_heartbeats)  # most of an idle stream's cost
    requests = _requests(design)
    used = design.processor_seconds()
    began = time.monotonic()
    time.sleep(size.idle_seconds)
    seconds = time.monotonic() - began
    result = {f"{part}_core": (now - used[part]) / seconds for part, now in design.processor_seconds().items()}
    result["requests"] = _requests(design) - requests
    return {**result, "all_core": sum(result[name] for name in result if name.endswith("_core"))}


def _requests(design: Design) -> float:
    """Count the requests that the handlers answered."""
    if not isinstance(design, Shirase):
        return 0
    return design.handled()


def _storm(design: Design, size: Size) -> Figures:
    """End all streams, and reconnect all clients at the same instant."""
    expected = [design.stream(f"storm-{n}") for n in range(size.storm)]
    with streams(design.address, expected):
        pass
    with streams(design.address, expected, in_flight=size.storm) as back:
        opened = back.opened
    return {
        "seconds": opened.seconds,
        "per_second": opened.open / opened.seconds,
        "failed": opened.failed,
        "p99_ms": opened.p99_ms,
    }
