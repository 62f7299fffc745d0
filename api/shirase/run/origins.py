"""Connections of a node to its handlers, which may be several hosts of one name."""

import asyncio
import re
import socket

from shirase.errors import SettingsError
from shirase.proxy.names import is_number
from shirase.sockets import notice_silence

CONNECT_TIMEOUT = 2.0  # seconds for a connect; a machine that has vanished does not refuse it
NEXT_ADDRESS = 0.5  # seconds until the next address of the name is tried
SILENCE = 5.0  # seconds in which the other machine must confirm what it was sent

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Address = tuple[str, int]


class Origin:
    """The handlers at one HOST:PORT. For use in one event loop."""

    def __init__(self, place: str) -> None:
        """Prepare, without connecting.

        Raises:
            SettingsError: if the place has another form.
        """
        match = re.fullmatch(r"([A-Za-z0-9._-]+|\[[0-9a-f:]+\]):([0-9]{1,5})", place)
        if match is None:
            raise SettingsError("--origin", f"must be HOST:PORT, not {place!r}")
        self._host, self._port = match[1].strip("[]"), int(match[2])
        self._answers: Address | None = None  # connected last
        self._fails: Address | None = None  # connected, and then did not answer

    async def connect(self) -> Streams:
        """Connect to the address that answered last, else to the first of the name's that accepts a connection.

        Raises:
            OSError: if none does within ``CONNECT_TIMEOUT``; also as a ``TimeoutError``.
        """
        async with asyncio.timeout(CONNECT_TIMEOUT):
            addresses = [(self._host, self._port)] if is_number(self._host) else await self._look_up()
            for address in addresses[:-1]:
                try:
                    async with asyncio.timeout(NEXT_ADDRESS):
                        return await self._connect(address)
                except OSError:  # and TimeoutError
                    continue
            return await self._connect(addresses[-1])

    async def _look_up(self) -> list[Address]:
        rows = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        addresses: list[Address] = list(dict.fromkeys((str(row[4][0]), self._port) for row in rows))
        return sorted(addresses, key=lambda address: (address == self._fails, address != self._answers))

    def failed(self, writer: asyncio.StreamWriter) -> None:
        """Prefer the other addresses from now on: this connection had no answer."""
        peer = writer.get_extra_info("peername")
        self._fails = peer[:2] if peer else None

    async def _connect(self, address: Address) -> Streams:
        reader, writer = await asyncio.open_connection(*address)
        notice_silence(writer.get_extra_info("socket"), SILENCE)
        self._answers = address
        return reader, writer
