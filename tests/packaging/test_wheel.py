"""The wheel, installed in a new environment beside a host with its own ``api`` package and tables."""

import json
import os
import smtplib
import sqlite3
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest

from tests.support.loop_thread import wait_until
from tests.support.stack import free_row

ROOT = Path(__file__).parents[2]
BOUND = 60.0  # seconds
HEAVY = ("alembic", "flask", "gripcontrol", "gunicorn", "sqlalchemy", "uvloop", "zmq")
HOST = """
import api
from shirase import Client
assert api.WHOSE == "the host's", api.__file__
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new environment with the wheel, and the dependencies of the environment that runs the tests."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False, symlinks=True)
    target = next((folder / "lib").glob("python*")) / "site-packages"
    # Python reads no .pth files in a folder that a .pth file names, so the checkout's own package is not on the path.
    (target / "dependencies.pth").write_text(sysconfig.get_path("purelib"))
    options = ["--quiet", "--no-deps", "--no-index", "--target", str(target)]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, str(wheel)], check=True)
    return folder / "bin" / "python"


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A project with a package ``api`` and a SQLite file with a table ``notifications``."""
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "__init__.py").write_text('WHOSE = "the host\'s"\n')
    with sqlite3.connect(tmp_path / "host.db") as database:
        database.execute("CREATE TABLE notifications (of_the_host TEXT)")
        database.execute("CREATE TABLE alembic_version (version_num TEXT)")
    database.close()
    return tmp_path


def run(python: Path, *arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return subprocess.run(
        [python, *arguments],
        cwd=cwd,
        env=inherited | environ,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


def test_the_wheel_installs_nothing_but_shirase(wheel: Path) -> None:
    names = ZipFile(wheel).namelist()
    assert {name.partition("/")[0] for name in names} == {"shirase", "shirase-0.1.0.dist-info"}
    assert "shirase/py.typed" in names
    assert not [name for name in names if name.endswith(".md") or "example" in name]


def test_the_wheel_describes_itself(wheel: Path) -> None:
    with ZipFile(wheel) as files:
        metadata = files.read("shirase-0.1.0.dist-info/METADATA").decode()
    for line in ("Name: shirase", "Version: 0.1.0", "License-Expression: MIT", "Classifier: Typing :: Typed"):
        assert f"\n{line}\n" in metadata
    assert "\n# Shirase\n" in metadata


def test_a_producer_imports_the_client_and_nothing_heavy(python: Path, tmp_path: Path) -> None:
    code = f"import sys; from shirase import Client; print([m for m in {HEAVY!r} if m in sys.modules])"
    done = run(python, "-c", code, cwd=tmp_path)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_hosts_own_api_package_stays_its_own(python: Path, host: Path) -> None:
    done = run(python, "-c", HOST, cwd=host)
    assert done.returncode == 0, done.stderr


def test_a_hosts_own_tables_stay_its_own(python: Path, host: Path) -> None:
    url = f"sqlite:///{host}/host.db"
    done = run(python, "-m", "shirase", "migrate", cwd=host, DATABASE_URL=url)
    assert done.returncode == 0, done.stderr
    with sqlite3.connect(host / "host.db") as database:
        names = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        columns = [row[1] for row in database.execute("PRAGMA table_info(notifications)")]
    database.close()
    assert {name for name in names if not name.startswith(("shirase_", "sqlite_"))} == {
        "notifications",
        "alembic_version",
    }
    assert columns == ["of_the_host"]


@pytest.fixture
def demo(python: Path, tmp_path: Path) -> Iterator[str]:
    """Run ``shirase up --demo`` in an empty folder; return its address."""
    port = free_row(6)[0]
    output = tmp_path / "output"
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [str(python), "-m", "shirase", "up", "--demo", "--port", str(port), "--workers", "1"]
    with output.open("wb") as written:
        process = subprocess.Popen(command, cwd=tmp_path, env=inherited, stdout=written, stderr=subprocess.STDOUT)
    try:
        address = f"http://127.0.0.1:{port}"
        wait_until(lambda: f"ready: {address}" in output.read_text(), BOUND, output.read_text)
        yield address
    finally:
        process.terminate()
        process.wait(BOUND)


def greets(port: int) -> bool:
    try:
        with smtplib.SMTP("127.0.0.1", port, timeout=BOUND) as smtp:
            return smtp.noop()[0] == 250
    except OSError:
        return False


def test_the_demo_runs_from_the_wheel_in_an_empty_folder(python: Path, demo: str, tmp_path: Path) -> None:
    page = httpx.get(demo, trust_env=False)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    port = int(demo.rpartition(":")[2]) + 5
    wait_until(lambda: greets(port), BOUND, "the demo has no mail server")
    fields = ["--user", "aiko", "--type", "t", "--title", "from the wheel", "--message", ""]
    sent = run(python, "-m", "shirase", "send", *fields, cwd=tmp_path)
    assert sent.returncode == 0, sent.stderr
    assert json.loads(sent.stdout)["title"] == "from the wheel"
