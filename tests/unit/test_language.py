"""The words of the sources, tests and documents: no private word stands for a term of the field.

A word of ``TERMS`` stands nowhere: each has a term that is more exact. Words of ``NAMES`` are ordinary English in a
sentence, but no variable, argument or function is called so: a name states what the thing is.
"""

import ast
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
NAMES = {"one", "found", "given", "look"}
WORDS = [word for words in TERMS for word in words.split(", ")]
PRIVATE = re.compile(rf"(?<![A-Za-z])({'|'.join(WORDS)})(?![a-z])", re.IGNORECASE)
SOURCES = ("api", "docs", "frontend/src", "frontend/demo", "frontend/examples", "examples", "migrations", "pushpin")
DOCUMENTS = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "ARCHITECTURE.md", "CHANGELOG.md", "frontend/README.md")
CODE = (*SOURCES, "deploy", "bench", ".ci", "Makefile", "Dockerfile", "docker-compose.yml", "pyproject.toml")
TESTS = ("tests", "frontend/tests")
SUFFIXES = {
    ".py",
    ".ts",
    ".tsx",
    ".js",
    ".c",
    ".md",
    ".html",
    ".css",
    ".conf",
    ".yml",
    ".yaml",
    ".service",
    ".toml",
    ".sh",
    "",
}
NOT_OURS = ("api/shirase/flask/demo/static/", "frontend/src/display/locales/", "tests/browser/first_edition/client.js")
ALLOWED = {
    "told_at": "a column: a migration renames none, because the previous release reads it (docs/upgrade.md);"
    " its attribute in the models has another name",
    "heard_at": "a column",
    "Wants=": "systemd's",
    "right-away": "Alembic's and npm's",
}


def tracked(*paths: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--", *paths], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [ROOT / name for name in listed.stdout.split("\0") if name and not name.startswith(NOT_OURS)]


def private_words(path: Path) -> list[str]:
    if path.suffix not in SUFFIXES or not path.is_file():
        return []
    lines = path.read_text(errors="replace").splitlines()
    for allowed in ALLOWED:
        lines = [line.replace(allowed, "") for line in lines]
    return [f"{path.relative_to(ROOT)}:{n}: {line.strip()}" for n, line in enumerate(lines, 1) if PRIVATE.search(line)]


def private_names(path: Path) -> list[str]:
    """The private words that a Python file calls a variable, an argument or a function."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            names.add(node.name)
    return [f"{path.relative_to(ROOT)}: {name}" for name in sorted(names & NAMES)]


pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")


def test_no_private_word_stands_for_a_term_of_the_field() -> None:
    own = Path(__file__)
    lines = [line for path in tracked(*CODE, *TESTS, *DOCUMENTS) if path != own for line in private_words(path)]
    assert lines == [], "\n".join([*lines, *(f"{words}: {terms}" for words, terms in TERMS.items())])


def test_no_private_word_is_a_name() -> None:
    files = [path for path in tracked(*CODE, *TESTS) if path.suffix == ".py" and path.is_file()]
    assert len(files) > 400
    assert [name for path in files for name in private_names(path)] == []
