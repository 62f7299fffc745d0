"""What happens to others while many streams open."""

import threading
import time

from bench.designs import LISTENING, Design, Shirase
from bench.load import Answered, send, streams
from bench.measures import Figures, Size, arrived, most_open

RATE = 50  # creates a second
CLIENTS = 25  # that create; each waits half a second, so that a late answer delays few others


def while_streams_open(design: Design, size: Size, *, at_origin: bool) -> Figures:
    """Measure from the POST to the arrival, of notifications to other users, while many streams open."""
    users = [f"{LISTENING}-{n}" for n in range(size.listeners)]
    listeners = [design.stream(user) for user in users]
    requests = [design.create([user], n) for n, user in enumerate(users)]
    opening = [design.stream(f"opened-{n}") for n in range(size.opened)]
    address = design.origin if at_origin and isinstance(design, Shirase) else design.producers
    with streams(design.address, listeners, in_flight=2) as held:
        time.sleep(size.settling)
        most_open(held.report(), len(listeners))
        answered: list[Answered] = []
        count = int(RATE * (size.opened_in + 1))  # the proxy reads each stream again after a second
        creating = threading.Thread(
            target=lambda: answered.append(
                send(address, requests, clients=CLIENTS, count=count, pause_ms=1000 * CLIENTS / RATE)
            )
        )
        creating.start()
        with streams(design.address, opening, in_flight=size.opened, per_second=size.opened / size.opened_in) as more:
            opened = more.opened
            most_open(opened, size.opened)
            creating.join()
        answered[0].all_as(design.accepted)
        seen = arrived(held, count)
    return {"p50_ms": seen.p50_ms, "p99_ms": seen.p99_ms, "failed": opened.failed, "opened_s": opened.seconds}
