"""A node that is asked to stop drains itself first.

It knows neither its streams' users nor the database: the handlers end its streams, step by step, as it asks them to.
"""

import http.client
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from http import HTTPStatus

import orjson

from shirase.inbox.draining import QUIET, STEP
from shirase.inbox.streams import DRAIN_PATH
from shirase.proxy import grip
from shirase.run.node import ProxyConfig

log = logging.getLogger(__name__)

LATE = 15.0  # seconds after the time over which the streams are spread; what is open then ends with the node
SILENCE = 5.0  # seconds without an answer after which the node stops as it is
TIMEOUT = 5.0  # seconds for one step


class _Refused(Exception):
    """The handlers do not drain this node."""


def drain(config: ProxyConfig, node: str, key: bytes, seconds: float, is_stopped: Callable[[], bool]) -> None:
    """Return once the node holds no stream, or it is no use to wait any longer.

    Args:
        config: names the handlers.
        node: its control address as ``GRIP_URL`` has it.
        key: seals the requests.
        seconds: over which the end of the streams is spread.
        is_stopped: whether to stop at once.
    """
    headers = {"Content-Type": "application/json", grip.DRAIN: grip.name_node(key, node, grip.DRAIN)}
    began = answered = occupied = time.monotonic()
    moved = 0
    while not is_stopped() and answered - occupied < QUIET:
        now = time.monotonic()
        if now - began > seconds + LATE:
            log.warning("not all streams have moved: those that are open end now")
            return
        try:
            steps = [_step(place, headers, max(0.0, began + seconds - now)) for place in _places(config)]
            answered = time.monotonic()
        except _Refused as exc:
            log.warning("this node is not drained: %s", exc)
            return
        except (OSError, http.client.HTTPException, ValueError, KeyError):
            if now - answered > SILENCE:
                log.warning("this node is not drained: the handlers do not answer")
                return
        else:
            moved += sum(ended for ended, _ in steps)
            if any(ended or left for ended, left in steps):
                occupied = answered
        time.sleep(STEP)
    log.warning("%d streams have moved to other nodes", moved)


def _places(config: ProxyConfig) -> Sequence[tuple[str, str]]:
    """The HOST:PORT and the path of each application that has mounted the streams."""
    places = [(config.origin, DRAIN_PATH)] if not config.inboxes else []
    for inbox in config.inboxes:
        prefix = max(filter(f"{inbox}/".startswith, config.mounts), key=len, default="")
        places.append((config.mounts.get(prefix, config.origin), inbox + DRAIN_PATH))
    return places


def _step(place: tuple[str, str], headers: dict[str, str], seconds: float) -> tuple[int, int]:
    """The number of streams that have moved, and of those that are left."""
    origin, path = place
    with closing(http.client.HTTPConnection(origin, timeout=TIMEOUT)) as connection:
        connection.request("POST", path, orjson.dumps({"seconds": seconds}), headers)
        answer = connection.getresponse()
        body = answer.read()
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise http.client.HTTPException(f"status {answer.status}")
    document = orjson.loads(body)
    if answer.status != HTTPStatus.OK:
        raise _Refused(str(document["detail"]))
    return int(document["moved"]), int(document["left"])
