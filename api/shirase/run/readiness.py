"""Readiness: proved by opening a stream through the proxy, as a client does."""

import time
from collections.abc import Callable
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

PATH = "/api/sse/notifications"
TRY_TIMEOUT = 5.0  # seconds without a byte, in one attempt
LINES = 100  # within which the first event must arrive
PAUSE = 0.1  # seconds between two attempts


def wait_for_stream(url: str, ticket: Callable[[], str], timeout: float, still_starting: Callable[[], bool]) -> bool:
    """Wait until a stream delivers ``connected``; false at the timeout, or when ``still_starting`` turns false.

    Each attempt uses a new ticket, since tickets can be made even where tokens are signed elsewhere.
    """
    deadline = time.monotonic() + timeout
    while still_starting() and time.monotonic() < deadline:
        if stream_opens(url, ticket()):
            return True
        time.sleep(PAUSE)
    return False


def stream_opens(url: str, ticket: str, timeout: float = TRY_TIMEOUT) -> bool:
    """Try once; give up after ``timeout`` seconds without a byte."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=timeout)
    with closing(connection):
        try:
            connection.request("GET", f"{PATH}?ticket={ticket}")
            answer = connection.getresponse()
            if answer.status != HTTPStatus.OK:
                return False
            return any(answer.readline() == b"event: connected\n" for _ in range(LINES))
        except (OSError, HTTPException):
            return False
