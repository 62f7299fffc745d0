"""``python -m bench.mail_sink``: a mail server that counts, in a process of its own.

It prints its port, and for each line on standard input the counts so far, as JSON.
"""

import asyncio
import json
import re
import sys
from collections import Counter

UIDS = re.compile(rb"\r\nX-Shirase-Deliveries:((?:[^\r]|\r\n )+)\r\n", re.IGNORECASE)
GREETING, READY, FINE, GO, BYE = (
    b"220 sink\r\n",
    b"250-sink\r\n250 8BITMIME\r\n",
    b"250 OK\r\n",
    b"354 go\r\n",
    b"221 bye\r\n",
)
END = b"\r\n.\r\n"

delivered: Counter[bytes] = Counter()


class Session(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._received = b""
        self._in_mail = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(GREETING)

    def data_received(self, data: bytes) -> None:
        """Answer commands and take mails."""
        self._received += data
        while True:
            end = END if self._in_mail else b"\r\n"
            head, separator, rest = self._received.partition(end)
            if not separator:
                return
            self._received = rest
            if self._in_mail:
                self._in_mail = False
                delivered.update(UIDS.search(head + b"\r\n")[1].split())  # type: ignore[index]
                self._transport.write(FINE)
            else:
                self._command(head[:4].upper())

    def _command(self, verb: bytes) -> None:
        if verb == b"DATA":
            self._in_mail = True
            self._transport.write(GO)
        elif verb == b"QUIT":
            self._transport.write(BYE)
            self._transport.close()
        else:
            self._transport.write(READY if verb == b"EHLO" else FINE)


async def main() -> None:
    """Listen until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Session, "127.0.0.1", 0)
    _print(server.sockets[0].getsockname()[1])
    while await loop.run_in_executor(None, sys.stdin.readline):
        _print({"different": len(delivered), "all": delivered.total()})
    server.close()


def _print(value: object) -> None:
    sys.stdout.write(f"{json.dumps(value)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main())
