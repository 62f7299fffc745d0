"""Whether the service can be used now: proved by opening a stream through the proxy, as a client does."""

import time
from collections.abc import Callable

import httpx

PATH = "/api/sse/notifications"
TRY_TIMEOUT = 5.0  # seconds for one attempt
PAUSE = 0.1  # seconds between two attempts


def wait_for_stream(url: str, token: str, timeout: float, still_starting: Callable[[], bool]) -> bool:
    """Wait until a stream says ``connected``; false at the timeout, or once nothing is starting any more."""
    deadline = time.monotonic() + timeout
    while still_starting() and time.monotonic() < deadline:
        if stream_opens(url, token):
            return True
        time.sleep(PAUSE)
    return False


def stream_opens(url: str, token: str) -> bool:
    """Try once."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        with httpx.stream(
            "GET", url + PATH, headers=headers, timeout=TRY_TIMEOUT, trust_env=False
        ) as response:
            return response.status_code == httpx.codes.OK and "event: connected" in response.iter_lines()
    except httpx.HTTPError:
        return False
