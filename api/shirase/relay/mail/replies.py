"""SMTP connections whose replies are bounded in time and size.

``smtplib`` waits anew for each byte, and keeps every line of a reply without an end.
"""

import smtplib
import socket
import time
from typing import Any

LARGEST_REPLY = 64 * 1024  # bytes


class BoundedSmtp(smtplib.SMTP):
    """A connection on which the timeout is for a whole reply."""

    file: Any  # what smtplib reads replies from; None before the first, also after STARTTLS

    def getreply(self) -> tuple[int, bytes]:
        """Read one reply."""
        if self.file is None and self.sock:
            self.file = _Replies(self.sock)
        self.file.begin(self.timeout)
        try:
            return super().getreply()
        finally:
            if self.sock:
                self.sock.settimeout(self.timeout)


class BoundedSmtpTls(BoundedSmtp, smtplib.SMTP_SSL):
    """The same with TLS from the start."""


class _Replies:
    """The lines of replies."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._unread = b""
        self._until = 0.0
        self._size = 0

    def begin(self, timeout: float) -> None:
        """Begin a reply."""
        self._until = time.monotonic() + timeout
        self._size = 0

    def readline(self, limit: int) -> bytes:
        """The next line, at most ``limit`` bytes; empty at the end of the connection.

        Raises:
            OSError: if the reply is too late or too large.
        """
        while b"\n" not in self._unread and len(self._unread) < limit:
            left = self._until - time.monotonic()
            if left <= 0:
                raise TimeoutError("the reply is too late")
            self._connection.settimeout(left)
            part = self._connection.recv(limit)
            if not part:
                break
            self._unread += part
        line = self._unread[: self._unread.find(b"\n") + 1 or limit][:limit]
        self._unread = self._unread[len(line) :]
        self._size += len(line)
        if self._size > LARGEST_REPLY:
            raise OSError("the reply is too large")
        return line

    def close(self) -> None:
        """Do nothing: smtplib closes the connection too."""
