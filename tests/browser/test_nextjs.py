"""The Next.js example, built and started as in production, in a real browser: ``make nextjs`` installs and runs it."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import BrowserContext, Request, expect

from tests.browser.common_clients import FRONTEND
from tests.browser.demo_page import create
from tests.support.loop_thread import wait_until
from tests.support.service import draft
from tests.support.stack import Stack, free_ports

EXAMPLE = FRONTEND.parent / "examples" / "nextjs"
BUILT_WITHIN = 300.0  # seconds
STARTED_WITHIN = 60.0
README_PAGE = """import { Header } from "./header";
import { session } from "@/lib/session";

export default async function Pasted() {
  const signedIn = await session();
  return signedIn && <section aria-label="Pasted"><Header user={signedIn.user} /></section>;
}
"""

pytestmark = [
    pytest.mark.skipif(not (EXAMPLE / "node_modules").exists(), reason="`make nextjs` installs Next.js and runs it"),
    pytest.mark.timeout(BUILT_WITHIN + 180),
]


@pytest.fixture(scope="module")
def nextjs(demo: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Build the example with the packed package and the example of frontend/README.md, and start it."""
    site = tmp_path_factory.mktemp("nextjs") / "site"
    shutil.copytree(EXAMPLE, site, symlinks=True, ignore=shutil.ignore_patterns(".next"))
    installed = site / "node_modules" / "shirase"
    shutil.rmtree(installed, ignore_errors=True)
    installed.mkdir()
    subprocess.run(["npm", "pack", FRONTEND, "--silent"], cwd=site, check=True, capture_output=True)
    tarball = next(site.glob("*.tgz"))
    subprocess.run(["tar", "-xzf", tarball, "-C", installed, "--strip-components=1"], check=True)
    for name in json.loads((installed / "package.json").read_text()).get("dependencies", {}):
        scope = name.partition("/")[0]  # with its siblings, which it depends on
        shutil.copytree(FRONTEND / "node_modules" / scope, site / "node_modules" / scope, dirs_exist_ok=True)

    readme = (FRONTEND / "README.md").read_text()
    pasted = site / "app" / "pasted"
    pasted.mkdir()
    (pasted / "header.tsx").write_text(re.findall(r"## React\n.*?```tsx\n(.*?)```", readme, re.DOTALL)[0])
    (pasted / "page.tsx").write_text(README_PAGE)

    port = free_ports(1)[0]
    environ = {
        **os.environ,
        "SHIRASE_URL": demo.url,
        "JWT_SECRET": demo.settings.jwt_secret or "",
        "NEXT_TELEMETRY_DISABLED": "1",
    }
    command = [site / "node_modules" / ".bin" / "next"]
    built = subprocess.run(
        [*command, "build"], cwd=site, env=environ, timeout=BUILT_WITHIN, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stdout + built.stderr
    log = site.parent / "next.log"
    with log.open("wb") as output:
        started = subprocess.Popen(
            ["node", command[0], "start", "--hostname", "127.0.0.1", "--port", str(port)],
            cwd=site,
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _answers(url), STARTED_WITHIN, log.read_text)
        yield url
    finally:
        started.terminate()
        started.wait(30)


def test_nextjs_paints_the_list_and_streams_from_there(
    context: BrowserContext, demo: Stack, nextjs: str, user: str
) -> None:
    create(demo, user, "Before")
    page = context.new_page()
    asked: list[str] = []

    def note(request: Request) -> None:
        asked.append(request.url.removeprefix(nextjs))

    page.goto(f"{nextjs}/sign-in")
    page.get_by_role("textbox", name="User").fill(user)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name=f"Hello, {user}")).to_be_visible()

    cookie = {item["name"]: item["value"] for item in context.cookies(nextjs)}
    html = httpx.get(nextjs, cookies=cookie, trust_env=False).text
    assert "Notifications, 1 unread" in html

    page.on("request", note)
    page.reload()
    expect(page.get_by_role("status").filter(has_text="Live")).to_be_visible()
    headers = {"Authorization": f"Bearer {demo.token('producer', 'notifications:write')}"}
    now = draft("Now", user_id=user, url="/interviews/18")
    assert httpx.post(f"{demo.url}/api/notifications", json=now, headers=headers).status_code == 201
    bell = page.get_by_role("button", name="Notifications, 2 unread")
    expect(bell).to_be_visible()
    assert [path for path in asked if path.startswith("/api/notifications")] == []

    page.evaluate("window.isSamePage = true")
    bell.click()
    page.get_by_role("link", name="Now").click()
    expect(page.get_by_role("heading", name="Interview 18")).to_be_visible()
    assert page.evaluate("window.isSamePage")  # the router went there: nothing was loaded anew
    expect(page.get_by_role("button", name="Notifications, 1 unread")).to_be_visible()


def test_the_react_example_of_the_readme_runs_in_nextjs(
    context: BrowserContext, demo: Stack, nextjs: str, user: str
) -> None:
    page = context.new_page()
    page.goto(f"{nextjs}/sign-in")
    page.get_by_role("textbox", name="User").fill(user)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", name=f"Hello, {user}")).to_be_visible()
    page.goto(f"{nextjs}/pasted")
    pasted = page.get_by_role("region", name="Pasted")
    expect(pasted.get_by_role("button", name="Notifications, 0 unread")).to_be_visible()
    create(demo, user, "Hello")
    expect(pasted.get_by_role("button", name="Notifications, 1 unread")).to_be_visible()


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).status_code == 200
    except httpx.TransportError:
        return False
