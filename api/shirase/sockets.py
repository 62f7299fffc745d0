"""Options of TCP connections."""

import socket
from typing import Protocol


class _HasOptions(Protocol):
    def setsockopt(self, level: int, option: int, value: int, /) -> None: ...


def notice_silence(connection: _HasOptions, seconds: float) -> None:
    """Have the kernel end the connection when the other machine has confirmed nothing for so long.

    A network that loses packets reports nothing. Without this, who waits for an answer waits for hours.
    """
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    values = {"TCP_KEEPIDLE": max(1, int(seconds / 2)), "TCP_KEEPINTVL": 1, "TCP_USER_TIMEOUT": int(seconds * 1000)}
    for name, value in values.items():
        if option := getattr(socket, name, None):  # macOS lacks some
            connection.setsockopt(socket.IPPROTO_TCP, option, value)
