"""The pages of a host application that every engine opens."""

import subprocess
from pathlib import Path

FRONTEND = Path(__file__).parents[3] / "frontend"
BUILD_TIMEOUT = 60.0
BUILD = """
    import { writeFileSync } from "node:fs";
    import { bundle, serviceWorker, styles } from "./bundle.js";
    const [directory] = process.argv.slice(1);
    writeFileSync(`${directory}/shirase.css`, await styles());
    writeFileSync(`${directory}/page.js`, await bundle("tests/engines/page.tsx"));
    writeFileSync(`${directory}/push-worker.js`, await serviceWorker());
    writeFileSync(`${directory}/worker.js`, await bundle("tests/engines/worker.ts"));
"""
PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Host</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="shirase.css">
<div id="bell" style="position: absolute; top: 0; left: 0"></div>
<p id="elsewhere" style="position: fixed; right: 0; bottom: 0">The rest of the page</p>
<script type="module" src="page.js"></script>
"""


def build(directory: Path) -> None:
    """Write the pages and their scripts."""
    directory.mkdir()
    (directory / "index.html").write_text(PAGE)
    (directory / "other.html").write_text("<!doctype html><title>Another page</title>")
    command = ["node", "--input-type=module", "--eval", BUILD, str(directory)]
    subprocess.run(command, cwd=FRONTEND, check=True, timeout=BUILD_TIMEOUT)
