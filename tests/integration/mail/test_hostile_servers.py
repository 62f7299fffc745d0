"""A mail server that never ends its reply holds up no relay, and fills no memory."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace

import pytest

from shirase.mail_settings import MailSettings
from shirase.settings import Settings
from shirase.store.database import Database
from shirase.types import PENDING
from tests.integration.mail.post import HOST, Post

PIECE = b"220-hello\r\n" * 1000
MOST = 60_000_000  # bytes
DRIPS = 40

Write = Callable[[socket.socket], None]


def endless(connection: socket.socket) -> None:
    """A banner of many lines."""
    for _ in range(MOST // len(PIECE)):
        connection.sendall(PIECE)


def dripping(connection: socket.socket) -> None:
    """A banner that comes byte by byte, each in time."""
    for _ in range(DRIPS):
        connection.sendall(b"2")
        connection.settimeout(0.1)
        try:
            if connection.recv(1) == b"":
                raise ConnectionAbortedError
        except TimeoutError:
            pass


@pytest.fixture(params=[endless, dripping])
def ended(request: pytest.FixtureRequest) -> Iterator[list[str]]:
    """How each connection ended: ``by the client``, or ``whole`` if it read everything."""
    ends: list[str] = []
    write: Write = request.param
    with closing(socket.create_server((HOST, 0))) as listening:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with closing(connection):
                    try:
                        write(connection)
                    except OSError:
                        ends.append("by the client")
                    else:
                        ends.append("whole")

        threading.Thread(target=serve, daemon=True).start()
        ends.append(str(listening.getsockname()[1]))
        yield ends
        listening.shutdown(socket.SHUT_RDWR)


def test_a_banner_without_an_end_is_cut_off(
    ended: list[str], database: Database, settings: Settings, mail: MailSettings
) -> None:
    hostile = replace(mail, port=int(ended.pop()), timeout=0.5)
    post = Post(database, replace(settings, mail=hostile))
    post.contact()
    number = post.create()
    post.deliver()
    state, reason = post.state(number)
    assert (state, bool(reason)) == (PENDING, True)
    post.channel.close()
    assert "whole" not in ended
