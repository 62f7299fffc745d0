"""A node reaches its handlers while one of several hosts of their name does not answer."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from shirase.run.origins import Origin
from tests.support.loop_thread import run_async

ADDRESSES = ("127.0.0.2", "127.0.0.3")
NAME = "handlers.test"


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[socket.socket]]:
    """A listening socket at each address of the name, on one port."""
    with ExitStack() as opened:
        made: list[socket.socket] = []
        for address in ADDRESSES:
            made.append(opened.enter_context(socket.socket()))
            made[-1].bind((address, made[0].getsockname()[1] if made[1:] else 0))
            made[-1].listen(4)
        resolve = socket.getaddrinfo

        def named(host: str, port: int, *rest: Any, **more: Any) -> Any:
            return [
                row for address in ADDRESSES for row in resolve(address if host == NAME else host, port, *rest, **more)
            ]

        monkeypatch.setattr(socket, "getaddrinfo", named)
        yield made


def connected(origin: Origin, *, fails: bool = False) -> str:
    """Connect, and return the address."""

    async def connect() -> str:
        _, writer = await origin.connect()
        address: str = writer.get_extra_info("peername")[0]
        if fails:
            origin.failed(writer)
        writer.close()
        return address

    return run_async(connect())


def fill(server: socket.socket) -> ExitStack:
    """Connect until the kernel drops further requests, as a machine that has vanished does."""
    held = ExitStack()
    while True:
        client = held.enter_context(socket.socket())
        client.settimeout(0.3)
        try:
            client.connect(server.getsockname())
        except TimeoutError:
            return held


def test_an_address_that_does_not_answer_is_passed_over(servers: list[socket.socket]) -> None:
    origin = Origin(f"{NAME}:{servers[0].getsockname()[1]}")
    with fill(servers[0]):
        assert connected(origin) == ADDRESSES[1]
    servers[0].accept()[0].close()
    assert connected(origin) == ADDRESSES[1]  # the one that answered


def test_an_address_that_gave_no_answer_comes_last(servers: list[socket.socket]) -> None:
    origin = Origin(f"{NAME}:{servers[0].getsockname()[1]}")
    assert connected(origin, fails=True) == ADDRESSES[0]
    assert connected(origin) == ADDRESSES[1]


def test_no_address_that_answers_is_an_error_in_time(servers: list[socket.socket]) -> None:
    origin = Origin(f"{NAME}:{servers[0].getsockname()[1]}")
    with ExitStack() as full:
        for server in servers:
            full.enter_context(fill(server))
        with pytest.raises(TimeoutError):
            connected(origin)
