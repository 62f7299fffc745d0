"""An event loop in its own thread, so that a synchronous test can hold hundreds of connections."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

T = TypeVar("T")

CALL_TIMEOUT = 20.0  # seconds to wait for a call into the loop
CHECK = 0.01  # seconds between two checks of a condition


class LoopThread:
    """Runs coroutines for other threads. Use it as a context manager."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._running: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self.loop.run_forever, name="loop", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancel all tasks and end the thread."""
        self.call(self._cancel_all())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(CALL_TIMEOUT)
        self.loop.close()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine in the loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(CALL_TIMEOUT)

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in the loop, to its end or the loop's."""
        self.call(self._spawn(coroutine))

    async def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(coroutine)
        self._running.add(task)  # the loop only has weak references to tasks
        task.add_done_callback(self._running.discard)

    async def _cancel_all(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # aborted transports notify their protocols in the next iteration


def run_async(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in a new loop. Not by ``asyncio.run``: Playwright leaves a loop running in the tests' thread."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def wait_until(
    condition: Callable[[], object], timeout: float, otherwise: Callable[[], str] | str, interval: float = CHECK
) -> None:
    """Wait for a condition, checked every ``interval`` seconds; on timeout fail with the text of ``otherwise``."""
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout} s: {otherwise if isinstance(otherwise, str) else otherwise()}")
        time.sleep(interval)
