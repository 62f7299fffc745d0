"""docs/quickstart.md as it is written: three empty projects, its lines, and the notification in a real browser."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from shirase.store.migrate import migrate
from tests.browser.common_clients import FRONTEND
from tests.browser.test_elements import BUILD
from tests.support.loop_thread import wait_until
from tests.support.stack import Stack, free_ports

PAGE = FRONTEND.parent / "docs" / "quickstart.md"
MOST = 25  # lines
DOCUMENTED_PORT = "8100"
TOOLS = Path(sys.executable).parent
STARTED_WITHIN = 60.0  # seconds
STACKS = ("Flask", "FastAPI", "Django")
FILE = re.compile(r"^(At the end of )?\*([\w/.]+)\*\n\n```\w+\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMANDS = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)


def section(name: str) -> str:
    return PAGE.read_text().partition(f"\n## {name}\n")[2].partition("\n## ")[0]


@pytest.fixture(scope="module")
def place() -> str:
    return f"127.0.0.1:{free_ports(1)[0]}"


@pytest.fixture(scope="module")
def stack(place: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = tmp_path_factory.mktemp("quickstart")
    url = f"sqlite:///{directory / 'shirase.db'}"
    migrate(url)
    with Stack(url, directory, mounts={"/app/": place}, inboxes=["/app/inbox"]) as running:
        yield running


@pytest.fixture(scope="module")
def elements() -> bytes:
    return subprocess.check_output(["node", "--input-type=module", "-e", BUILD], cwd=FRONTEND, timeout=60)


@pytest.mark.parametrize("name", STACKS)
def test_each_takes_at_most_25_lines(name: str) -> None:
    added = [line for _, _, text in FILE.findall(section(name)) for line in text.splitlines() if line.strip()]
    assert 10 < len(added) <= MOST


@pytest.mark.parametrize("name", STACKS)
def test_an_empty_project_shows_a_notification(
    name: str, browser: Browser, stack: Stack, place: str, elements: bytes, tmp_path: Path
) -> None:
    environ = {**os.environ, **stack.settings_env, "PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"}
    with project(name, place, environ, elements, tmp_path), browser.new_context(base_url=stack.url) as context:
        page = context.new_page()
        page.goto("/app/")
        bell = page.locator("shirase-bell")
        expect(bell.get_by_role("button", name="Notifications, 0 unread")).to_be_visible()
        page.get_by_role("button", name="Notify me").click()
        expect(bell.get_by_role("button", name="Notifications, 1 unread")).to_be_visible()
        bell.get_by_role("button", name="Notifications").click()
        expect(bell.get_by_role("heading", name=f"From {name}")).to_be_visible()


@contextmanager
def project(name: str, place: str, environ: dict[str, str], elements: bytes, directory: Path) -> Iterator[None]:
    """Make the project by the commands and the files of the page, and run the last command until the end."""
    written = section(name)
    commands = [line for block in COMMANDS.findall(written) for line in block.splitlines()]
    *before, serve = [shlex.split(line) for line in commands if not line.startswith("pip ")]
    if before:  # what makes the empty project
        run(before.pop(0), environ, directory)
    (directory / "static").mkdir()
    (directory / "static" / "elements.js").write_bytes(elements)
    for at_the_end, path, text in FILE.findall(written):
        file = directory / path
        file.write_text((file.read_text() if at_the_end else "") + text)
    for command in before:
        run(command, environ, directory)
    port = place.rpartition(":")[2]
    log = directory / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [part.replace(DOCUMENTED_PORT, port) for part in serve],
            cwd=directory,
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: answers(f"http://{place}/app/"), STARTED_WITHIN, log.read_text)
        yield
    finally:
        server.terminate()
        server.wait(30)


def run(command: list[str], environ: dict[str, str], directory: Path) -> None:
    ended = subprocess.run(command, cwd=directory, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
