"""A parser of ``text/event-stream``, written from the standard (WHATWG HTML, section 9.2.6)."""

import json
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Dispatched:
    """An event as a page's listener receives it."""

    event: str
    data: str
    id: str  # lastEventId, which a reconnect would send

    def json(self) -> Any:
        return json.loads(self.data)


@dataclass(frozen=True, slots=True)
class Read:
    """The content of one response."""

    events: list[Dispatched]
    last_event_id: str
    retry: int | None  # milliseconds


def parse(text: str) -> Read:
    # Text after the last line end is an unfinished line; an event without its empty line is never dispatched.
    *lines, _ = re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff"))
    result: list[Dispatched] = []
    kind, data, last_id, retry = "", "", "", None
    for line in lines:
        if not line:
            if data:
                result.append(Dispatched(kind or "message", data.removesuffix("\n"), last_id))
            kind, data = "", ""
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "event":
                kind = value
            case "data":
                data += value + "\n"
            case "id" if "\0" not in value:
                last_id = value
            case "retry" if re.fullmatch("[0-9]+", value):
                retry = int(value)
    return Read(result, last_id, retry)
