"""A few seconds of failing sinks and killed relays; ``python -m tests.chaos.sinks`` runs longer, on both databases."""

import logging
import os
import socket
from urllib.parse import urlsplit

from tests.chaos.sinks import run
from tests.support.sink import sink

SECONDS = 6
SEED = int(os.environ.get("CHAOS_SEED", "1"))


def test_what_was_not_read_reaches_every_sink_whatever_dies() -> None:
    verdict = run("postgresql", SECONDS, SEED, logging.getLogger(__name__).warning)
    assert verdict.wrong == [], str(verdict)
    assert verdict.kills > 0
    assert min(verdict.accepted.values()) > 10, str(verdict)


def test_a_request_that_was_cut_off_is_not_accepted() -> None:
    with sink() as server:
        with socket.create_connection(("127.0.0.1", urlsplit(server.url).port or 0), timeout=10) as sender:
            sender.sendall(b"POST /0 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nx")
            sender.shutdown(socket.SHUT_WR)
            assert sender.recv(1) == b""  # closed without an answer
        assert (server.got, server.accepted) == ([], [])
