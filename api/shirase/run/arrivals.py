"""Incomplete requests, which a worker's main thread collects, so that no other thread waits for them."""

import re
import select
import socket
import time
from collections import Counter
from collections.abc import Callable
from threading import Lock

from gunicorn.http.unreader import Unreader

from shirase.errors import TooSlow
from shirase.web.arrival import StillArriving
from shirase.web.bodies import LATE
from shirase.web.json_body import MAX_BODY

# The time that a thread waits for one request in all. Nearly all requests arrive at once, and are answered at once.
PATIENCE = 0.05  # seconds
SHARE = 4  # bodies of one user that a worker collects at a time
READ = 64 * 1024  # bytes
MOST = MAX_BODY + READ  # bytes of a request that are collected, or read off; more is an answer of 413

GUESSES = 3  # times that a request without a declared length is taken for whole before its time is over

_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)


class Input(Unreader):  # type: ignore[misc]
    """The source of gunicorn's parser: the bytes that have arrived, then those that arrive within ``PATIENCE``."""

    def __init__(self, arrival: "Arrival", claim: Callable[[str], bool]) -> None:
        """Begin with what has arrived."""
        super().__init__()
        self.arrived = bytearray(arrival.arrived)
        self.unread(arrival.arrived)
        self._sock = arrival.sock
        self._claim = claim
        self._ended, self._late = arrival.ended, arrival.late
        self._until = time.monotonic() + PATIENCE

    def chunk(self, size_hint: int | None = None) -> bytes:
        """More of the request; empty at its end.

        Raises:
            StillArriving: if there is nothing yet.
            TooSlow: if its time is over. An end of input would be taken for the end of the body.
        """
        if self._late and b"\r\n\r\n" in self.arrived:
            raise TooSlow(LATE)
        if self._ended or self._late:
            return b""
        poll = select.poll()
        poll.register(self._sock, select.POLLIN)
        if not poll.poll(max(0.0, self._until - time.monotonic()) * 1000):
            raise StillArriving(self._claim)
        data = self._sock.recv(max(READ, min(size_hint or 0, MAX_BODY)))
        self._ended = not data
        self.arrived += data
        return data


class Arrival:
    """One connection's request."""

    def __init__(self, conn: object, sock: socket.socket, until: float) -> None:
        """Begin with nothing; the request must have arrived at ``until`` (``time.monotonic()``)."""
        self.conn = conn
        self.sock = sock
        self.until = until
        self.arrived = b""
        self.ended = False  # nothing more will come
        self.late = False  # nothing more is waited for
        self.answered = False  # all that is left is to close the connection
        self.user: str | None = None  # the user who sends the body, once known
        self._length: int | None = None
        self._end = b"\r\n\r\n"  # of what declares no length
        self._guesses = GUESSES
        self._drained = 0  # bytes, after the response

    def park(self, arrived: bytes) -> None:
        """Keep the bytes that a thread has read."""
        self.arrived = arrived
        self._length, self._end = _expected(arrived)

    def leave(self, until: float) -> None:
        """The response is sent: wait until the client closes, or until ``until``."""
        self.answered, self.until, self.arrived = True, until, b""

    def read(self) -> bool:
        """Read available bytes; return whether to have the request answered now.

        Without a declared length that is a guess: if the parser finds the request incomplete, it is parked again.
        """
        try:
            data = self.sock.recv(READ, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if self.answered:
            self._drained += len(data)
            return not data or self._drained > MOST
        self.arrived += data
        self.ended = not data or len(self.arrived) > MOST
        if not self.ended and _has_ended(self.arrived, self._length, self._end):
            # Each guess takes a thread's time, and the content of a chunk may look like the last chunk.
            self._guesses -= self._length is None
            return self._guesses >= 0
        return self.ended


def is_whole(arrived: bytes) -> bool:
    """Whether nothing more of this request will come."""
    return _has_ended(arrived, *_expected(arrived))


def _expected(arrived: bytes) -> tuple[int | None, bytes]:
    """The request's total length if it is declared, and otherwise the bytes that end it."""
    head, end, _ = arrived.partition(b"\r\n\r\n")
    if not end:
        return None, b"\r\n\r\n"
    if _CHUNKED.search(head):
        return None, b"\r\n0\r\n\r\n"
    length = _LENGTH.search(head + b"\r\n")
    return len(head) + len(end) + (int(length[1]) if length else 0), b""


def _has_ended(arrived: bytes, length: int | None, end: bytes) -> bool:
    return len(arrived) >= length if length is not None else arrived.endswith(end)


class Shares:
    """The number of each user's bodies that are still arriving."""

    def __init__(self) -> None:
        """Begin with none."""
        self._lock = Lock()
        self._counts: Counter[str] = Counter()

    def claim(self, arrival: Arrival, user_id: str) -> bool:
        """Count an arrival as the user's; ``False`` if the user is at the limit."""
        with self._lock:
            if arrival.user is None:
                if self._counts[user_id] >= SHARE:
                    return False
                self._counts[user_id] += 1
                arrival.user = user_id
            return True

    def release(self, arrival: Arrival) -> None:
        """End an arrival."""
        with self._lock:
            if arrival.user is not None:
                self._counts[arrival.user] -= 1
                if not self._counts[arrival.user]:
                    del self._counts[arrival.user]
                arrival.user = None
