"""The documents are complete, README leads to all of them, and their links and paths exist."""

import re
import subprocess
from collections import Counter
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from urllib.parse import unquote

import click
import pytest

from shirase.fields import FIELDS
from shirase.run.cli import main
from shirase.settings import Settings

ROOT = Path(__file__).parent.parent.parent
ENVIRONMENT = {"demo": "SHIRASE_DEMO", "push_key": "VAPID_PRIVATE_KEY", "demo_mail": "SHIRASE_DEMO_MAIL"}
LONGEST_README = 125  # lines
LARGEST_PICTURE = 150_000  # bytes
LONGEST_NAME = 60  # characters
VARIABLE = re.compile(r'"([A-Z]+(?:_[A-Z0-9]+)+)"')
TEST = re.compile(r"^\s*def (test_\w+)", re.MULTILINE)
FENCE = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^()\s]+)\)")
CITED = re.compile(r"`([\w.-]+(?:/[\w.-]+)+\.(?:py|md|c|ts|tsx|yml|json|conf|toml))(?:::\w+)?`")
BASES = ("", "tests", "api/shirase", "frontend", "frontend/src")  # that a cited path may begin at
PAGES = [
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
]


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs/settings.md").read_text()
    names = {ENVIRONMENT.get(field.name, field.name.upper()) for field in fields(Settings) if field.name != "mail"}
    for file in ("settings.py", "mail_settings.py", "vapid.py", "tls.py", "run/cli/webhooks.py"):
        names |= set(VARIABLE.findall((ROOT / "api/shirase" / file).read_text()))
    assert len(names) > 50
    assert [name for name in sorted(names) if f"`{name}`" not in page] == []


def test_every_command_is_documented_with_its_options() -> None:
    page = (ROOT / "docs/commands.md").read_text()
    assert [name for name in main.commands if f"`shirase {name}`](#" not in page] == []
    assert [name for name, _ in commands(main) if name not in page] == []
    options = {
        option
        for _, command in commands(main)
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in parameter.opts
    }
    assert {option for option in options if option not in page} == {"--version"}


def test_every_field_of_a_notification_is_documented() -> None:
    page = (ROOT / "docs/http-api.md").read_text()
    assert [name for name in FIELDS if f"`{name}`" not in page] == []


def test_readme_links_to_every_page_of_docs() -> None:
    linked = linked_from(ROOT / "README.md")
    assert [page.name for page in (ROOT / "docs").glob("*.md") if page not in linked] == []


def test_readme_leads_to_every_page() -> None:
    reached, unread = set(), {ROOT / "README.md"}
    while unread:
        reached |= unread
        unread = {page for source in unread for page in linked_from(source) if page.suffix == ".md"} - reached
    assert [page for page in PAGES if page not in reached] == []


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README


def test_the_pictures_of_readme_are_small() -> None:
    pictures = [ROOT / link for link in links(ROOT / "README.md") if link.endswith(".png")]
    assert [picture.stat().st_size <= LARGEST_PICTURE for picture in pictures] == [True]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    broken = []
    for link in links(page):
        path, _, anchor = unquote(link).partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_cited_file_exists(page: Path) -> None:
    places = [page.parent, *(ROOT / base for base in BASES)]
    cited = CITED.findall(FENCE.sub("", page.read_text()))
    assert [path for path in cited if not any((place / path).exists() for place in places)] == []


def test_names_of_tests_are_short() -> None:
    names = [name for path in (ROOT / "tests").rglob("test_*.py") for name in TEST.findall(path.read_text())]
    assert [name for name in names if len(name) > LONGEST_NAME] == []


def commands(group: click.Group, name: str = "shirase") -> Iterator[tuple[str, click.Command]]:
    """A group and all commands in it, by their full names."""
    yield name, group
    for own_name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {own_name}")
        else:
            yield f"{name} {own_name}", command


def linked_from(page: Path) -> set[Path]:
    """The files of the repository that a page links to."""
    return {(page.parent / unquote(link).partition("#")[0]).resolve() for link in links(page) if link[0] != "#"}


def links(page: Path) -> Iterator[str]:
    """The links of a page that stay in the repository."""
    text = re.sub(r"`[^`\n]*`(?!\])", "", FENCE.sub("", page.read_text()))
    return (link for link in LINK.findall(text) if not re.match(r"[a-z]+:", link))


def anchors(page: Path) -> set[str]:
    """The ids that the headings of a page get on GitHub."""
    result: Counter[str] = Counter()
    names = set()
    for title in re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text()), re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", title)
        name = re.sub(r"[^\w\- ]", "", plain.lower()).strip().replace(" ", "-")
        names.add(f"{name}-{result[name]}" if result[name] else name)
        result[name] += 1
    return names
