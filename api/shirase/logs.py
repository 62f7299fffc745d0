"""How the log is written, lines for people or JSON for machines, and what every line knows of its request.

No token, ticket or text of a notification is ever written: not by us, not by a library at any level, not within an
exception. A test runs a whole service at DEBUG and looks for them.
"""

import logging
import re
import sys
import threading
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from shirase.errors import ShiraseError
from shirase.settings import Settings

LINE = "%(asctime)s %(levelname)s %(name)s %(message)s"
KNOWN = ("request_id", "user", "connection", "event")

# What carries a token in a URL, a header, or by itself: a safety net, for lines that are not ours.
_SECRET = re.compile(
    r"(?P<name>(?:token|ticket)=)[^&\s\"']+|(?P<scheme>Bearer )[^\s\"']+|(?P<page>/api/sse/next/)[^\s\"']+"
    r"|eyJ[\w-]{8,}(?:\.[\w-]*){1,2}"
)

_known: ContextVar[Mapping[str, str]] = ContextVar("known", default=MappingProxyType({}))


def begin(request_id: str) -> None:
    """Forget what was known; from here on, what this thread logs is of that request."""
    _known.set({"request_id": request_id})


def clear() -> None:
    """The request is over: what this thread logs before the next one is of none."""
    _known.set({})


def bind(**more: str) -> None:
    """Have the lines that follow say so too: ``user``, ``connection``, ``event``."""
    _known.set({**_known.get(), **more})


def configure(settings: Settings) -> None:
    """Send the log to standard error, as the settings say."""
    start(settings.log_level, as_json=settings.log_format == "json")


def start(level: str, *, as_json: bool) -> None:
    """Send the log to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter(LINE) if as_json else _TextFormatter(LINE))
    handler.addFilter(_add_known)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    # At DEBUG it prints every statement with its values and every row that it reads.
    logging.getLogger("sqlalchemy").setLevel(logging.WARNING)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it tells of its plugins at every start
    sys.excepthook = _log_defect
    threading.excepthook = lambda args: _log_defect(args.exc_type, args.exc_value, args.exc_traceback)


def _add_known(record: logging.LogRecord) -> bool:
    for name, value in _known.get().items():
        if not hasattr(record, name):  # what the line itself says is nearer
            setattr(record, name, value)
    return True


def _log_defect(kind: type[BaseException], error: BaseException | None, trace: Any) -> None:
    if error is None or issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("shirase").critical("a defect ended this", exc_info=(kind, error, trace))


class _TextFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging calls it so
        known = [f"{name}={getattr(record, name)!r}" for name in KNOWN if hasattr(record, name)]
        return super().formatMessage(record) + (f" [{' '.join(known)}]" if known else "")

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return _described(ei[1])

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None  # another formatter's may be kept here
        return _redacted(super().format(record))


class _JsonFormatter(JsonFormatter):
    def formatException(self, ei: Any) -> str:  # noqa: N802
        return _described(ei[1])

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None
        return _redacted(super().format(record))


def _redacted(line: str) -> str:
    return _SECRET.sub(lambda match: (match["name"] or match["scheme"] or match["page"] or "") + "…", line)


def _described(error: BaseException | None) -> str:
    """The traceback, with the words of our own errors alone: a database's quote the row that it objects to."""
    parts: list[str] = []
    while error is not None:
        said = f": {error}" if isinstance(error, ShiraseError | OSError) else ""
        code = getattr(getattr(error, "orig", None), "sqlstate", None)
        state = f" (SQLSTATE {code})" if code else ""
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        parts.append("".join(traceback.format_tb(error.__traceback__)) + kind + state + said)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\n… because of:\n\n".join(parts)
