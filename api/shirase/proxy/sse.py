"""The wire format ``text/event-stream`` (WHATWG HTML, section 9.2.6), without any meaning of events."""

import re
from dataclasses import dataclass

CONTENT_TYPE = "text/event-stream"
# A shared cache would hand one user's stream to another, and what compresses on its way holds events back.
CACHE_CONTROL = "no-store, no-transform"
NOTHING = ":\n\n"  # a comment, which no client dispatches

_FIELD = re.compile(r"[^\x00\r\n]*")
_BREAKS = {ord(each): f"\\u{ord(each):04x}" for each in "\x85\u2028\u2029"}
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True, slots=True)
class Event:
    """One event as a browser dispatches it. Here ``data`` is always one line of JSON."""

    event: str
    data: str
    id: str | None = None
    retry: int | None = None  # milliseconds until a client reconnects after losing the stream


def encode(event: Event) -> str:
    """Encode an event, with the empty line that dispatches it.

    Raises:
        ValueError: if ``event`` or ``id`` has a line break or NUL, which would forge another field.
    """
    retry = "" if event.retry is None else f"retry: {event.retry}\n"
    number = "" if event.id is None else f"id: {_one_line(event.id)}\n"
    data = event.data
    if "\n" in data or "\r" in data:  # the regular expression takes forty times as long to match nothing
        # A line ends at CR, LF or CRLF alone; str.splitlines breaks at more characters than a browser does.
        data = _LINE_END.sub("\ndata: ", data)
    return f"{retry}event: {_one_line(event.event)}\n{number}data: {data}\n\n"


def unbroken(json: str) -> str:
    """JSON whose text no reader takes for several lines.

    Browsers end a line at CR and LF alone; many libraries also do so at the three other characters that Unicode knows
    as line breaks, and JSON lets stand.
    """
    return json if json.isascii() else json.translate(_BREAKS)


def _one_line(value: str) -> str:
    if not _FIELD.fullmatch(value):
        raise ValueError("a field of an event must not contain a line break or NUL")
    return value
