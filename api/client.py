"""A client in Python: creates notifications over REST and listens to a stream as a browser does."""

import random
import time
from collections.abc import Iterator
from typing import Any

import httpx
from httpx_sse import EventSource, ServerSentEvent, SSEError

TIMEOUT = 10.0  # seconds for an answer
SILENCE = 90.0  # seconds without a byte, heartbeats included, after which a stream is taken for dead
DELAYS = (1.0, 30.0)  # seconds between two attempts: the first, the longest


class ClientError(Exception):
    """The service refused, and trying again would not help. ``str(error)`` says why."""


class Client:
    """Talks to a Shirase service through its proxy."""

    def __init__(self, url: str, token: str) -> None:
        """Prepare, without connecting.

        Args:
            url: the proxy's address, such as ``http://127.0.0.1:7999``.
            token: a JWT that the service accepts.
        """
        headers = {"Authorization": f"Bearer {token}"}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT, trust_env=False)

    def create(self, notification: dict[str, Any]) -> dict[str, Any]:
        """Create a notification and return it as stored.

        Raises:
            ClientError: if the service refuses it or cannot be reached.
        """
        try:
            answer = self._http.post("/api/notifications", json=notification)
        except httpx.HTTPError as exc:
            raise ClientError(f"{self._http.base_url} cannot be reached: {exc}") from exc
        _check(answer)
        created: dict[str, Any] = answer.json()
        return created

    def disconnect(self, user_id: str) -> int:
        """End all streams of a user; returns how many there were.

        Raises:
            ClientError: if the service refuses it or cannot be reached.
        """
        try:
            answer = self._http.delete("/api/sse/connections", params={"user_id": user_id})
        except httpx.HTTPError as exc:
            raise ClientError(f"{self._http.base_url} cannot be reached: {exc}") from exc
        _check(answer)
        closed: int = answer.json()["closed"]
        return closed

    def listen(self, cursor: str | None = None) -> Iterator[ServerSentEvent]:
        """All events from ``cursor`` on, for ever: a stream that ends is resumed where it ended.

        Raises:
            ClientError: if the service refuses the stream, or ends it for good.
        """
        delay = DELAYS[0]
        while True:
            try:
                for event in self._stream(cursor):
                    delay = DELAYS[0]
                    cursor = event.id or cursor
                    yield event
                    if event.event == "closing" and not event.json().get("reconnect"):
                        return
            except (httpx.HTTPError, SSEError):
                pass  # away, or cut off: the service may be back in a moment
            time.sleep(random.uniform(delay / 2, delay))  # noqa: S311 - spreads reconnects, protects nothing
            delay = min(delay * 2, DELAYS[1])

    def _stream(self, cursor: str | None) -> Iterator[ServerSentEvent]:
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": cursor} if cursor else {})
        timeout = httpx.Timeout(TIMEOUT, read=SILENCE)
        with self._http.stream("GET", "/api/sse/notifications", headers=headers, timeout=timeout) as answer:
            if answer.is_client_error:
                answer.read()
                _check(answer)
            answer.raise_for_status()
            # This decoder also dispatches events without data, which a browser does not (WHATWG HTML, section 9.2.6).
            yield from (event for event in EventSource(answer).iter_sse() if event.data)


def _check(answer: httpx.Response) -> None:
    """Raise what a problem document says."""
    if answer.is_success:
        return
    try:
        problem = answer.json()
        detail = f"{problem['title']}: {problem['detail']}"
    except (ValueError, KeyError, TypeError):
        detail = answer.text[:200].strip() or answer.reason_phrase
    raise ClientError(f"{answer.status_code} {detail}")
