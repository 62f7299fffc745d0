"""The units of ``deploy/systemd``, as far as they can be checked without systemd as process 1."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNITS = Path(__file__).parents[2] / "deploy/systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
EXPOSED = 3.0

pytestmark = pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")


def analyze(*arguments: str) -> str:
    ended = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)
    return ended.stdout + ended.stderr


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_is_exposed_to_little(name: str, tmp_path: Path) -> None:
    unit = tmp_path / name.replace("@", "@7999")
    shutil.copy(UNITS / name, unit)
    output = analyze("security", "--offline=true", "--no-pager", str(unit))
    match = re.search(r"Overall exposure level for \S+: ([0-9.]+)", output)
    assert match, output
    assert float(match[1]) < EXPOSED, output


def test_systemd_takes_every_unit(tmp_path: Path) -> None:
    for path in UNITS.iterdir():
        # verify requires that the programs exist here.
        text = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", path.read_text(), flags=re.MULTILINE)
        (tmp_path / path.name.replace("@", "@7999")).write_text(text)
    output = analyze("verify", "--man=no", *map(str, sorted(tmp_path.iterdir())))
    assert not [line for line in output.splitlines() if "shirase" in line], output


@pytest.mark.parametrize(
    ("name", "secrets"),
    [
        ("shirase-migrate.service", {"database_password"}),
        ("shirase-handlers.service", {"database_password", "pushpin_sig_key", "jwt_secret"}),
        ("shirase-relay.service", {"database_password", "pushpin_sig_key"}),
        ("shirase-node@.service", {"pushpin_sig_key"}),
    ],
)
def test_a_unit_gets_no_secret_that_it_does_not_use(name: str, secrets: set[str]) -> None:
    text = (UNITS / name).read_text()
    assert set(re.findall(r"^LoadCredential=(\w+):", text, re.MULTILINE)) == secrets
    assert {value.lower() for value in re.findall(r"^Environment=(\w+)_FILE=%d/", text, re.MULTILINE)} == secrets


def test_no_unit_takes_the_node_with_it() -> None:
    text = (UNITS / "shirase-node@.service").read_text()
    assert not re.search(r"^(Requires|BindsTo|PartOf)=", text, re.MULTILINE)
    for name in SERVICES:
        assert "shirase-node" not in re.sub(r"/run/shirase-node|RuntimeDirectory=.*", "", (UNITS / name).read_text())
