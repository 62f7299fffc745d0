"""Every attack listed in SECURITY.md has the test that it names."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
TEXT = (ROOT / "SECURITY.md").read_text()
ROWS = re.findall(r"^\| (.+) \| `([\w/]+\.py)::(test_\w+)` \|$", TEXT, re.MULTILINE)


def test_at_least_forty_attacks_are_listed_with_their_tests() -> None:
    assert len({test for _, _, test in ROWS}) == len(ROWS) >= 40
    assert len({attack for attack, _, _ in ROWS}) == len(ROWS)


def test_every_row_of_the_list_was_read() -> None:
    table = TEXT.partition("| attack | shown by `tests/` |")[2].strip().splitlines()[1:]
    assert len(table) == len(ROWS)


def test_every_test_that_is_named_exists() -> None:
    missing = [f"{file}::{test}" for _, file, test in ROWS if f"def {test}(" not in (ROOT / "tests" / file).read_text()]
    assert missing == []
