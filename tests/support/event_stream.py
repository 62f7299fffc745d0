"""``text/event-stream`` as a browser reads it (WHATWG HTML, section 9.2.6), written from the standard's own words."""

import json
import re
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Dispatched:
    """One event as a page's listener gets it."""

    event: str
    data: str
    id: str  # lastEventId: what a reconnect would send

    def json(self) -> Any:
        return json.loads(self.data)


@dataclass(frozen=True, slots=True)
class Read:
    """All that one response said."""

    events: list[Dispatched]
    last_event_id: str
    retry: int | None  # milliseconds


def parse(text: str) -> Read:
    # What follows the last line end is an unfinished line, and an event without its empty line is never dispatched.
    *lines, _ = re.split(r"\r\n|\n|\r", text.removeprefix("\ufeff"))
    found: list[Dispatched] = []
    kind, data, last_id, retry = "", "", "", None
    for line in lines:
        if not line:
            if data:
                found.append(Dispatched(kind or "message", data.removesuffix("\n"), last_id))
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
    return Read(found, last_id, retry)
