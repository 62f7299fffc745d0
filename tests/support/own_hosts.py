"""Host names of a test's own: its thread and the processes that it starts get an /etc/hosts of their own."""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CLONE_FS, CLONE_NEWNS, MS_BIND, MS_REC, MS_PRIVATE = 0x200, 0x20000, 0x1000, 0x4000, 1 << 18  # of Linux


@contextmanager
def own_hosts(directory: Path, name: str) -> Iterator[Callable[..., None]]:
    """Yield a function that gives the name these addresses, for the system's resolver; skip unless this is root."""
    if os.geteuid():
        pytest.skip("only root can have an /etc/hosts of its own")
    libc = ctypes.CDLL(None, use_errno=True)
    hosts, order = directory / "hosts", directory / "nsswitch.conf"
    order.write_text("hosts: files\n")  # so that a missing name is an error at once

    def lead_to(*addresses: str) -> None:
        hosts.write_text(
            "".join(f"{line}\n" for line in ("127.0.0.1 localhost", *(f"{address} {name}" for address in addresses)))
        )

    def call(result: int) -> None:
        if result:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    lead_to()
    working_directory = Path.cwd()
    before = os.open("/proc/thread-self/ns/mnt", os.O_RDONLY)
    try:
        call(libc.unshare(CLONE_NEWNS))
        call(libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None))
        call(libc.mount(bytes(hosts), b"/etc/hosts", None, MS_BIND, None))
        call(libc.mount(bytes(order), b"/etc/nsswitch.conf", None, MS_BIND, None))
        yield lead_to
    finally:
        call(libc.unshare(CLONE_FS))  # threads that began meanwhile share the directories, and would forbid the return
        call(libc.setns(before, CLONE_NEWNS))
        os.close(before)
        os.chdir(working_directory)  # the return has left it
