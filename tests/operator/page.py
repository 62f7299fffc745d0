"""The commands of ``docs/deploy.md``."""

import re
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/deploy.md"


@dataclass(frozen=True, slots=True)
class Block:
    """A block of commands, and the heading that it stands under."""

    heading: str
    commands: str


def blocks() -> list[Block]:
    """All blocks of the page, in their order."""
    result, heading = [], ""
    for title, commands in re.findall(r"^##+ ([^\n]+)$|^```sh\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL):
        heading = title or heading
        if commands:
            result.append(Block(heading, commands))
    return result
