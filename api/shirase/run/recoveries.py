"""Gathers the recoveries that a node's standby receives, and asks the handlers about all of them at once.

The proxy reads every new stream again after a second, a hundred at a time, and nearly none has missed anything.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from typing import Generic, TypeVar

import orjson

GATHER = 0.02  # seconds
MOST = 200  # in one request

Hold = Mapping[str, str] | None
R = TypeVar("R")


class Recoveries(Generic[R]):
    """For use in one event loop."""

    def __init__(self, ask: Callable[[Sequence[R]], Awaitable[Sequence[Hold]]]) -> None:
        """``ask`` takes requests of one place, and returns for each the result of ``hold``."""
        self._ask = ask
        self._waiting: dict[Hashable, list[tuple[R, asyncio.Future[Hold]]]] = defaultdict(list)
        self._asking: set[asyncio.Task[None]] = set()  # the event loop keeps no reference to a task

    async def hold(self, place: Hashable, request: R) -> Hold:
        """The headers of a stream's new hold; ``None`` if the handlers must be asked about it alone.

        Requests of one ``place`` may be answered together.
        """
        answer: asyncio.Future[Hold] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[place]
        waiting.append((request, answer))
        if len(waiting) == 1:
            task = asyncio.create_task(self._ask_soon(place))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        return await answer

    async def _ask_soon(self, place: Hashable) -> None:
        await asyncio.sleep(GATHER)
        waiting = self._waiting.pop(place)
        for first in range(0, len(waiting), MOST):
            some = waiting[first : first + MOST]
            holds: Sequence[Hold] = [None] * len(some)
            if len(some) > 1:
                holds = await self._ask([request for request, _ in some])
            for (_, answer), hold in zip(some, holds, strict=True):
                if not answer.done():  # cancelled, as the proxy has gone
                    answer.set_result(hold)


def encode(lasts: Sequence[str]) -> bytes:
    """The body of the request."""
    return orjson.dumps({"last": lasts})


def decode(answer: bytes | None, count: int) -> Sequence[Hold]:
    """Read the response. Handlers of an older release have none, so each stream is asked alone."""
    try:
        holds = orjson.loads((answer or b"").partition(b"\r\n\r\n")[2])["holds"]
    except (ValueError, KeyError, TypeError):
        holds = []
    return holds if len(holds) == count else [None] * count
