"""The words of the sources and documents: a term of the field is not replaced by a private word."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TERMS = {
    "told, tell, tells, said, say, says": "reported, sent, published, returned, contains, names",
    "heard, hear, hears": "received",
    "want, wants, wanted": "requested, expected, required",
    "mend, mends, mended": "fix",
    "away": "unavailable, offline, down",
    "whoever, somebody, anybody": "the client, the user, another process",
    "under way": "running, pending, unconfirmed",
    "all the same": "nevertheless",
}
WORDS = [word for words in TERMS for word in words.split(", ")]
PRIVATE = re.compile(rf"(?<![A-Za-z])({'|'.join(WORDS)})(?![a-z])", re.IGNORECASE)
TEST_NAME = re.compile(r"def (test_\w+)")
SOURCES = ("api", "docs", "frontend/src", "frontend/demo", "frontend/examples", "examples", "migrations", "pushpin")
DOCUMENTS = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md", "frontend/README.md")
CODE = (*SOURCES, "deploy", "bench", ".ci", "Makefile", "Dockerfile", "docker-compose.yml", "pyproject.toml")
SUFFIXES = {".py", ".ts", ".tsx", ".js", ".c", ".md", ".css", ".conf", ".yml", ".yaml", ".service", ".toml", ".sh", ""}
BUILT = ("api/shirase/flask/demo/static/", "frontend/src/display/locales/")
ALLOWED = {
    "told_at": "a column: a migration renames none, because the previous release reads it (docs/upgrade.md)",
    "heard_at": "a column",
    "Wants=": "systemd's",
    "right-away": "Alembic's and npm's",
}


def tracked(*paths: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *paths], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and not name.startswith(BUILT)]


def private_words(path: Path) -> list[str]:
    if path.suffix not in SUFFIXES or not path.is_file():
        return []
    lines = path.read_text(errors="replace").splitlines()
    for allowed in ALLOWED:
        lines = [line.replace(allowed, "") for line in lines]
    return [f"{path.relative_to(ROOT)}:{n}: {line.strip()}" for n, line in enumerate(lines, 1) if PRIVATE.search(line)]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_no_private_word_stands_for_a_term_of_the_field() -> None:
    lines = [line for path in tracked(*CODE, *DOCUMENTS) for line in private_words(path)]
    assert lines == [], "\n".join([*lines, *(f"{words}: {terms}" for words, terms in TERMS.items())])


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_no_private_word_is_in_a_tests_name() -> None:
    names = [name for path in tracked("tests") for name in TEST_NAME.findall(path.read_text(errors="replace"))]
    assert len(names) > 500
    assert [name for name in names if PRIVATE.search(name)] == []
