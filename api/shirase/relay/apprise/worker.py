"""The process that runs Apprise, between users' addresses and the network.

It reads a message from each line of standard input, and writes an answer a line; see ``process.py``. Plugins open
connections by themselves, so the guard lies below them: names are resolved here, and audit hooks of Python refuse every
connection to an address that is not public, every program, and every file besides modules.
"""

import json
import logging
import mimetypes
import os
import resource
import socket
import sys
import threading
from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NoReturn

import apprise
import requests
from apprise import plugins

from shirase.outbound import is_listed, is_public

AT_ONCE = 8  # messages
MEMORY = 1024**3  # bytes
LARGEST_ANSWER = 4 * 1024**2  # bytes, decompressed
PRIVATE = "the host is in a private network, and OUTBOUND_PRIVATE_HOSTS does not list it"
LOCAL = "the service is more than requests over the network"
SENDING = {"socket.connect", "socket.sendto", "socket.sendmsg"}
REFUSED = ("subprocess.", "os.", "pty.", "syslog.", "ctypes.", "shutil.", "socket.bind", "sqlite3.", "tempfile.")
HARMLESS = {"os.listdir", "os.scandir", "os.walk", "os.fwalk", "os.putenv", "os.unsetenv"}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC


class Guard:
    """What the process may do; it cannot be removed."""

    def __init__(self, private_hosts: Collection[str]) -> None:
        self._private_hosts = private_hosts
        self._private: set[tuple[str, int]] = set()  # addresses and ports of private hosts
        self._modules = tuple(os.path.realpath(path) + os.sep for path in sys.path if Path(path).is_dir())
        self._resolve = socket.getaddrinfo
        # Apprise may call a plugin in another thread, with a copy of the context.
        self._reasons: ContextVar[list[str]] = ContextVar("reasons")

    def install(self) -> None:
        """Guard the process from now on."""
        socket.getaddrinfo = self._getaddrinfo
        sys.addaudithook(self._check)

    def collect(self) -> list[str]:
        """Begin a list of why something is refused in this context from now on."""
        reasons: list[str] = []
        self._reasons.set(reasons)
        return reasons

    def _refuse(self, reason: str) -> NoReturn:
        self._reasons.get([]).append(reason)
        raise PermissionError(reason)

    def _getaddrinfo(self, host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        result = self._resolve(host, port, *args, **kwargs)
        name = host.decode("ascii", "replace") if isinstance(host, bytes) else str(host)
        places = {(str(entry[4][0]), int(entry[4][1])) for entry in result}
        if all(is_listed(self._private_hosts, name.lower(), at) for _, at in places):
            self._private |= places
        elif not all(is_public(address) for address, _ in places):
            self._refuse(PRIVATE)
        return result

    def _check(self, event: str, args: tuple[Any, ...]) -> None:
        if event in SENDING:
            if not self._is_reachable(args[1]):
                self._refuse(PRIVATE)
        elif event == "open":
            if not self._is_module(*args):
                self._refuse(LOCAL)
        elif event.startswith(REFUSED) and event not in HARMLESS:
            self._refuse(LOCAL)

    def _is_reachable(self, address: Any) -> bool:
        """Whether a socket's address is one that may be connected to; a path, as of a Unix socket, is not."""
        if not isinstance(address, tuple):
            return False
        try:
            return (str(address[0]), address[1]) in self._private or is_public(str(address[0]))
        except ValueError:
            return False

    def _is_module(self, path: Any, mode: Any, flags: Any) -> bool:
        if isinstance(path, int):  # a descriptor that is open already
            return True
        is_written = (isinstance(flags, int) and flags & WRITING) or (isinstance(mode, str) and set(mode) & set("wax+"))
        real = os.path.realpath(os.fsdecode(path))
        return real == os.devnull or (not is_written and real.startswith(self._modules))


def main() -> None:
    """Answer until standard input ends."""
    logging.getLogger("apprise").disabled = True  # it logs addresses
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a plugin prints is no answer
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))  # the last bound
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    _parse("json://localhost")  # loads every plugin
    mimetypes.init()
    bound_answers()
    guard = Guard(frozenset(json.loads(sys.stdin.readline())["private_hosts"]))
    guard.install()
    writing = threading.Lock()

    def answer(values: dict[str, Any]) -> None:
        with writing:
            answers.write(json.dumps(values) + "\n")
            answers.flush()

    def work(message: dict[str, Any]) -> None:
        try:
            answer({"id": message["id"], **send(guard, message)})
        except BaseException:  # noqa: BLE001 - such as too little memory: the process begins anew
            os._exit(1)

    answer({"ready": True})
    pool = ThreadPoolExecutor(AT_ONCE)
    for line in sys.stdin:
        pool.submit(work, json.loads(line))
    os._exit(0)  # without waiting for what hangs


def send(guard: Guard, message: dict[str, Any]) -> dict[str, str]:
    """Send one message; returns why it was not sent, or nothing."""
    refused = guard.collect()
    asset = apprise.AppriseAsset(async_mode=False, service_timeout=0)  # in this thread
    parts = _parse(message["url"])
    service = parts and apprise.Apprise.instantiate({"overflow": "truncate", **parts}, asset=asset)
    if not service:
        return {"refused": "Apprise does not accept the address"}
    try:
        is_sent = bool(
            apprise.Apprise([service], asset=asset).notify(
                message["body"], title=message["title"], notify_type=message["type"], body_format="text"
            )
        )
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a plugin's own
        is_sent = False
    return {} if is_sent else {"failed": PRIVATE if PRIVATE in refused else "the service did not accept it"}


def bound_answers() -> None:
    """End answers that are too large. Plugins read them whole, and a small one may be large when it is decompressed."""
    whole = requests.Response.iter_content

    def bounded(answer: requests.Response, *args: Any, **kwargs: Any) -> Iterator[Any]:
        size = 0
        for part in whole(answer, *args, **kwargs):
            size += len(part)
            if size > LARGEST_ANSWER:
                answer.close()
                raise requests.ConnectionError("the answer is too large")
            yield part

    requests.Response.iter_content = bounded  # type: ignore[method-assign,assignment]


def _parse(address: str) -> dict[str, Any] | None:
    parts: dict[str, Any] | None = plugins.url_to_dict(address)
    return parts


if __name__ == "__main__":
    main()
