"""A page with the components over a scripted service, inside any stylesheet."""

import json
import subprocess
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, Route

FRONTEND = Path(__file__).parents[2] / "frontend"
ORIGIN = "http://looks.test"
BUNDLE = """
    import { bundle, styles } from "./bundle.js";
    const script = await bundle("tests/looks/page.tsx");
    console.log(JSON.stringify({ script, style: await styles() }));
"""
MIDDLE = "position: absolute; top: 40px; left: 50%"


def build() -> dict[str, str]:
    """The page's script and the shipped stylesheet."""
    command = ["node", "--input-type=module", "--eval", BUNDLE]
    made: dict[str, str] = json.loads(subprocess.check_output(command, cwd=FRONTEND, timeout=60))
    return made


def host_style(name: str) -> str:
    """A stylesheet as a host has it."""
    if name == "bootstrap":
        return (FRONTEND / "node_modules/bootstrap/dist/css/bootstrap.css").read_text()
    if name == "tailwind":
        return (FRONTEND / "node_modules/tailwindcss/preflight.css").read_text()
    return (Path(__file__).parent / "host_styles" / f"{name}.css").read_text()


class Looks:
    """One page, on which nothing but a component is."""

    def __init__(self, page: Page, built: dict[str, str]) -> None:
        self.page = page
        self._built = built

    def show(
        self, *, host: str = "", style: str = "", at: str = MIDDLE, root: str = "", inside: str = "", **scene: Any
    ) -> "Looks":
        """Show a scene (see tests/looks/page.tsx), after the host's stylesheet, at a place on the page."""
        style = style or self._built["style"]
        script = self._built["script"].replace("</script", r"<\/script")
        html = f"""<!doctype html><html lang="en" {root}><meta charset="utf-8"><title>Looks</title>
            <meta name="viewport" content="width=device-width, initial-scale=1">
            <style>{style}</style><style>{host}</style>
            <body><div id="root" {inside}><div id="at" style="{at}"></div></div>
            <script type="module">{script}</script></body>"""

        def fulfill(route: Route) -> None:
            route.fulfill(content_type="text/html; charset=utf-8", body=html)

        self.page.route(f"{ORIGIN}/**", fulfill)
        self.page.goto(f"{ORIGIN}/")
        self.page.evaluate("scene => start(scene)", scene)
        return self

    @property
    def bell(self) -> Locator:
        return self.page.locator(".shirase-bell-button")

    @property
    def badge(self) -> Locator:
        return self.page.locator(".shirase-badge")

    @property
    def panel(self) -> Locator:
        return self.page.locator(".shirase-panel")

    def open(self) -> "Looks":
        self.bell.click()
        self.panel.wait_for()
        return self
