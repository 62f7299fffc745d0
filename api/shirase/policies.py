"""Policies: where else a notification of a type goes, and when.

[{"channel": "web_push", "unless": "connected"}, {"channel": "email", "after": "10m", "unless": "read"}]
"""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
)

INBOX = "inbox"
WEB_PUSH, EMAIL, APPRISE = "web_push", "email", "apprise"
WEBHOOK = "webhook"  # a channel of preferences alone: no policy names it
CHANNELS = (WEB_PUSH, EMAIL, APPRISE)  # outside the inbox
CONNECTED, READ = "connected", "read"  # what makes a delivery unnecessary

MOST_STEPS = 10
LONGEST_DELAY = 30 * 24 * 60 * 60  # seconds
UNITS = {"s": 1, "m": 60, "h": 60 * 60, "d": 24 * 60 * 60}
DELAY = re.compile(r"(0|[1-9][0-9]{0,6})([smhd])")


def seconds(text: Any) -> Any:
    """Parse ``90s``, ``10m``, ``2h`` or ``1d``."""
    match = DELAY.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("must be a number and a unit, such as 90s, 10m, 2h or 1d")
    return int(match[1]) * UNITS[match[2]]


def _not_too_long(value: int) -> int:
    if value > LONGEST_DELAY:
        raise ValueError("must be 30d at the most")
    return value


def shown(delay: int) -> str:
    """The shortest text of a delay."""
    unit = next(unit for unit in "dhms" if delay % UNITS[unit] == 0 and (delay or unit == "s"))
    return f"{delay // UNITS[unit]}{unit}"


Delay = Annotated[
    int,
    BeforeValidator(seconds),
    AfterValidator(_not_too_long),
    PlainSerializer(shown, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{DELAY.pattern}$"}),
]


class Step(BaseModel):
    """One step of a policy."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    channel: Literal["web_push", "email", "apprise"]
    after: Annotated[Delay, Field(description="How long after the create it is due.", validate_default=True)] = "0s"  # type: ignore[assignment]
    unless: Annotated[
        Literal["connected", "read"] | None,
        Field(description="`connected`: nothing is sent to a user who has a stream open when it is due."),
    ] = None


Policy = Annotated[list[Step], Field(max_length=MOST_STEPS)]
