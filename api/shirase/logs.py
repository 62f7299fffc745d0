"""Logging: text for people or JSON for machines, with the context of the request on every line.

No token, ticket or text of a notification is ever logged: not by this service, not by a library at any level, not in
an exception. A test runs a whole service at DEBUG and searches its log for them.
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

# Tokens in URLs, headers and on their own, and sealed addresses: a safety net for the lines of libraries.
_SECRET = re.compile(
    r"(?P<name>(?:token|ticket)=)[^&\s\"']+|(?P<scheme>Bearer )[^\s\"']+"
    r"|(?P<page>/api/(?:sse/next|unsubscribe)/)[^\s\"']+|eyJ[\w-]{8,}(?:\.[\w-]*){1,2}"
)

_known: ContextVar[Mapping[str, str]] = ContextVar("known", default=MappingProxyType({}))


def begin(request_id: str) -> None:
    """Start the context of a request: every line of this thread carries its id from now on."""
    _known.set({"request_id": request_id})


def clear() -> None:
    """Clear the context at the end of a request."""
    _known.set({})


def bind(**more: str) -> None:
    """Add to the context: ``user``, ``connection``, ``event``."""
    _known.set({**_known.get(), **more})


def configure(settings: Settings) -> None:
    """Log to standard error, at the configured level and in the configured format."""
    start(settings.log_level, as_json=settings.log_format == "json")


def start(level: str, *, as_json: bool) -> None:
    """Log to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(_JsonFormatter(LINE) if as_json else _TextFormatter(LINE))
    handler.addFilter(_add_known)
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(capture=True)
    # At DEBUG it logs every statement with its values, and every row.
    logging.getLogger("sqlalchemy").setLevel(logging.WARNING)
    logging.getLogger("httpcore").setLevel(logging.WARNING)  # at DEBUG it logs headers
    logging.getLogger("alembic").setLevel(logging.WARNING)  # it lists its plugins at every start
    sys.excepthook = _log_defect
    threading.excepthook = lambda args: _log_defect(args.exc_type, args.exc_value, args.exc_traceback)


def _add_known(record: logging.LogRecord) -> bool:
    for name, value in _known.get().items():
        if not hasattr(record, name):  # a value of the line itself takes precedence
            setattr(record, name, value)
    return True


def _log_defect(kind: type[BaseException], error: BaseException | None, trace: Any) -> None:
    if error is None or issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("shirase").critical("unhandled exception", exc_info=(kind, error, trace))


class _TextFormatter(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging calls it so
        known = [f"{name}={getattr(record, name)!r}" for name in KNOWN if hasattr(record, name)]
        return super().formatMessage(record) + (f" [{' '.join(known)}]" if known else "")

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return _described(ei[1])

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None  # another formatter may have cached its own here
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
    """Format the traceback with the messages of our own errors alone: a database error quotes the rejected row."""
    parts: list[str] = []
    while error is not None:
        message = f": {error}" if isinstance(error, ShiraseError | OSError) else ""
        code = getattr(getattr(error, "orig", None), "sqlstate", None)
        state = f" (SQLSTATE {code})" if code else ""
        kind = f"{type(error).__module__}.{type(error).__qualname__}"
        parts.append("".join(traceback.format_tb(error.__traceback__)) + kind + state + message)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n\n… because of:\n\n".join(parts)
