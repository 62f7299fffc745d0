"""``shirase import``: what another system has sent, with its times, each line once."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from shirase.fields import rfc3339
from shirase.inbox import inbox
from shirase.run.cli import main
from shirase.settings import Settings
from shirase.store.database import Database

NOW = datetime.now(UTC)


def line(number: int, user: Any = "42", **more: Any) -> dict[str, Any]:
    """The older the smaller its number."""
    created_at = rfc3339(NOW - timedelta(days=10) + timedelta(minutes=number))
    return {
        "id": number,
        "user_id": user,
        "type": "t",
        "title": f"T{number}",
        "message": "",
        "created_at": created_at,
    } | more


@pytest.fixture
def command(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("DATABASE_URL", settings.database_url)
    monkeypatch.setenv("GRIP_URL", settings.grip_url[0])
    monkeypatch.setenv("PUSHPIN_SIG_KEY", settings.pushpin_sig_key)

    def run(lines: list[dict[str, Any] | bytes], *, by_pipe: bool = False) -> Result:
        content = b"\n".join(item if isinstance(item, bytes) else orjson.dumps(item) for item in lines) + b"\n"
        path = tmp_path / "old.jsonl"
        path.write_bytes(content)
        name = "-" if by_pipe else str(path)
        arguments = ["import", name, "--data-dir", str(tmp_path)]
        return CliRunner().invoke(main, arguments, input=content if by_pipe else None)

    return run


def listed(database: Database, user: str = "42") -> list[tuple[str, bool]]:
    result = inbox.page(database, user, limit=200).notifications
    return [(row.content.title, row.read_at is not None) for row in result]


def test_lines_keep_their_order_times_and_read_state(command: Any, database: Database) -> None:
    read_at = rfc3339(NOW - timedelta(days=1))
    ended = command([line(1, is_read=True), line(2, 42), line(3, read_at=read_at), line(4, "7", payload={"a": "知"})])
    assert ended.exit_code == 0, ended.output
    assert "4 imported, 0 present before, 0 too old to keep" in ended.output
    assert listed(database) == [("T3", True), ("T2", False), ("T1", True)]
    assert inbox.unread_count(database, "42") == 1
    with database.autocommit() as db:
        created = db.scalars(text("SELECT created_at FROM shirase_notifications ORDER BY id")).all()
    assert len(set(created)) == 4


def test_repeating_a_file_doubles_nothing(command: Any, database: Database) -> None:
    nameless = {name: value for name, value in line(9).items() if name != "id"}
    lines = [line(1), line(2), nameless, nameless, line(5, key="mine")]
    assert "5 imported" in command(lines).output
    again = command([*lines, line(6)], by_pipe=True)
    assert "1 imported, 5 present before" in again.output
    assert len(listed(database)) == 6


def test_nobody_is_notified_one_by_one(command: Any, database: Database) -> None:
    command([line(number) for number in range(3)])
    with database.autocommit() as db:
        assert db.scalar(text("SELECT count(*) FROM shirase_events WHERE published_at IS NULL")) == 0


def test_what_the_relay_would_remove_is_left_out(command: Any, database: Database) -> None:
    old = rfc3339(NOW - timedelta(days=31))
    ended = command([line(1, created_at=old), line(2, expires_at=old), line(3)])
    assert "1 imported, 0 present before, 2 too old to keep" in ended.output
    assert listed(database) == [("T3", False)]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        (b"{", "line 2"),
        (b"[]", "line 2"),
        (line(2, title=""), "line 2: title"),
        (line(2, created_at="yesterday"), "line 2: created_at"),
        (line(2, created_at=None), "line 2: created_at"),
        (line(2, user_id=""), "line 2: user_id"),
        (line(2, more=1), "line 2: more"),
        (line(2, message="x" * 70_000), "line 2"),
    ],
)
def test_a_wrong_line_is_named(command: Any, database: Database, wrong: Any, named: str) -> None:
    ended = command([line(1), wrong])
    assert ended.exit_code == 1
    assert named in ended.output
    assert "Traceback" not in ended.output
    assert listed(database) == []
