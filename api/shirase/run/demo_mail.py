"""The demo's mail server: a process that keeps what it accepts as files, for the page to show."""

import sys
from collections.abc import Mapping
from pathlib import Path

from shirase.variables import is_set

HOST = "127.0.0.1"


def environment(chosen: Mapping[str, str], port: int, directory: Path, url: str) -> dict[str, str]:
    """The settings by which relays and handlers use it; none where a mail server is chosen already."""
    if is_set(chosen, "SMTP_HOST"):
        return {}
    return {
        "SMTP_HOST": HOST,
        "SMTP_PORT": str(port),
        "SMTP_SECURITY": "none",
        "MAIL_FROM": "Shirase demo <shirase@demo.example>",
        "MAIL_WINDOW": "0",
        "PUBLIC_URL": url,
        "SHIRASE_DEMO_MAIL": str(directory),
    }


def command(port: int, directory: Path) -> list[str]:
    """The command that runs it on loopback, with a Maildir that it creates."""
    options = ["--nosetuid", "--listen", f"{HOST}:{port}", "--class", "aiosmtpd.handlers.Mailbox", str(directory)]
    return [sys.executable, "-m", "aiosmtpd", *options]
