"""The commands of ``docs/deploy.md``, as far as they can be checked without a machine (``make operator`` runs them)."""

import re
import subprocess
from pathlib import Path

import pytest

from shirase.settings import Settings
from tests.operator.page import Block, blocks

ROOT = Path(__file__).parents[2]
PAGE = blocks()
COMMANDS = "".join(block.commands for block in PAGE)


@pytest.mark.parametrize("block", PAGE, ids=lambda block: block.heading or "first")
def test_a_block_is_valid_bash(block: Block) -> None:
    subprocess.run(["bash", "-n"], input=block.commands, text=True, check=True)


def test_an_upgrade_installs_as_the_installation_did() -> None:
    installs = [block.commands for block in PAGE if "pip install" in block.commands]
    assert len(installs) == 2
    assert installs[1].startswith(installs[0])


def test_the_units_that_are_started_exist() -> None:
    started = set(re.findall(r"\bshirase-[a-z]+(?:@|\.socket)?", " ".join(re.findall("systemctl .*", COMMANDS))))
    units = {path.name for path in (ROOT / "deploy/systemd").iterdir()}
    assert {name if name.endswith(".socket") else f"{name}.service" for name in started} == units


def test_publishes_go_to_the_nodes_that_are_started() -> None:
    (environment,) = re.findall(r"shirase\.env <<END\n(.*?)^END", COMMANDS, re.MULTILINE | re.DOTALL)
    variables = dict(re.findall(r"^(\w+)=(.*)$", environment.replace("$NAME", "push.example.com"), re.MULTILINE))
    settings = Settings.from_env(
        {**variables, "DATABASE_PASSWORD": "p", "PUSHPIN_SIG_KEY": "k" * 32, "JWT_SECRET": "j" * 32}
    )
    nodes = [int(port) for port in re.findall(r"enable --now .*?shirase-node@(\d+) shirase-node@(\d+)", COMMANDS)[0]]
    assert settings.grip_url == tuple(f"http://127.0.0.1:{port + 2}" for port in nodes)
    assert settings.pushpin_stats_url == tuple(f"tcp://127.0.0.1:{port + 3}" for port in nodes)
    for port in nodes:
        assert f"127.0.0.1:{port};" in COMMANDS


def test_what_the_page_replaces_in_nginx_is_there() -> None:
    edge = (ROOT / "deploy/edge/nginx.conf").read_text()
    for text in ("push.example.com", "/etc/ssl/shirase", "    server 127.0.0.1:7999;"):
        assert text in edge
