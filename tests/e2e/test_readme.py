"""The ways in that README shows: lines of the examples, which tests run, and one that is run here."""

import re
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from shirase.access.tokens import WRITE
from tests.support.service import Service

ROOT = Path(__file__).parent.parent.parent
LONGEST = 15  # lines
EXAMPLES = ("examples/flask_host.py", "examples/django_site/hiring")


def blocks() -> list[str]:
    readme = (ROOT / "README.md").read_text()
    section = readme.partition(" ways in\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)


def test_each_way_in_takes_at_most_fifteen_lines() -> None:
    assert [len(block.splitlines()) <= LONGEST for block in blocks()] == [True] * 3


def test_flask_and_django_are_shown_as_in_the_examples() -> None:
    for block, place in zip(blocks(), EXAMPLES, strict=False):
        files = sorted((ROOT / place).glob("*.py")) or [ROOT / place]
        shown = {_bare(line) for file in files for line in file.read_text().splitlines()}
        lines = [_bare(line) for line in block.splitlines() if "# where" not in line]  # for some applications alone
        assert [line for line in lines if line not in shown] == []


def test_the_python_client_runs_as_shown(service: Service) -> None:
    """The shown loop never ends; here it stops at the notification of another producer."""
    user = f"user-{uuid4().hex}"
    seen: list[str] = []

    class Enough(Exception):
        pass

    def record(event: str, _data: object) -> None:
        seen.append(event)
        if event == "connected":
            service.create(user, "live")
        if event == "notification":
            raise Enough

    code = blocks()[2].replace("http://127.0.0.1:7999", service.stack.url).replace("aiko", user)
    with suppress(Enough):
        exec(code, {"token": service.stack.token(user, WRITE), "print": record})  # noqa: S102 - our own README
    assert [event for event in seen if event != "heartbeat"] == ["connected", "notification"]
    assert [item.notification.content.title for item in service.log_of(user) if item.notification] == [
        "Interview",
        "live",
    ]


def _bare(line: str) -> str:
    """Without its comment and its indentation."""
    return re.sub(r"\s+#.*", "", line).strip()
