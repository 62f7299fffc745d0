"""The limit of open files of the process that listens on a local port (Linux)."""

import re
from contextlib import suppress
from pathlib import Path

LISTEN = "0A"  # the state in /proc/net/tcp


def file_limit(port: int) -> int | None:
    """Return the soft limit; ``None`` if nothing listens there, or the process is not visible."""
    inodes = _listening(port)
    for limits in Path("/proc").glob("[0-9]*/limits") if inodes else ():
        with suppress(OSError):  # ended meanwhile, or another user's
            if _holds(limits.parent / "fd", inodes):
                match = re.search(r"Max open files\s+(\d+|unlimited)", limits.read_text())
                return int(match[1]) if match and match[1] != "unlimited" else None
    return None


def _listening(port: int) -> set[str]:
    """Return what descriptors of the listening sockets link to."""
    files = set()
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) == port:
                    files.add(f"socket:[{fields[9]}]")
    return files


def _holds(descriptors: Path, sockets: set[str]) -> bool:
    for descriptor in descriptors.iterdir():
        with suppress(OSError):
            if str(descriptor.readlink()) in sockets:
                return True
    return False
