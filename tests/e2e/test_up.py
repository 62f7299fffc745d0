"""`shirase up` as a process: what it prints, what it survives, and what remains afterwards."""

import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest

from shirase.access import tokens
from shirase.run import demo_mail
from shirase.run.data_directory import read_settings
from shirase.run.readiness import PATH
from shirase.settings import Settings
from tests.support.stack import free_row
from tests.support.up import BOUND, CHILDREN, ROOT, Copy, copy_of, kill, listening, programs, wait_for


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Copy]:
    home = tmp_path_factory.mktemp("up")
    with copy_of(home, "--demo", env={"SSE_KEEPALIVE_TIMEOUT": "2"}) as copy:
        copy.wait_ready()
        yield copy


def test_ready_means_that_a_stream_opens(running: Copy) -> None:
    assert running.opens()
    assert running.output.endswith(f"ready: {running.url}\n")


def test_connections_are_counted_without_the_readiness_probe(running: Copy) -> None:
    settings = Settings.from_env(read_settings(running.data_dir))
    headers = {"Authorization": f"Bearer {tokens.mint(settings, 'operator', scope=tokens.ADMIN)}"}

    def total() -> int:
        counted: int = httpx.get(f"{running.url}/api/sse/status", headers=headers).json()["total_connections"]
        return counted

    with httpx.stream("GET", f"{running.url}{PATH}", headers=headers) as stream:
        assert stream.status_code == 200
        wait_for("count of the one stream that is open", lambda: total() == 1)
    wait_for("count of none", lambda: total() == 0)


def test_the_keepalive_timeout_sets_the_heartbeat_interval(running: Copy) -> None:
    headers = {"Authorization": f"Bearer {running.token()}"}
    heartbeats = 0
    with httpx.stream("GET", running.url + PATH, headers=headers, timeout=10) as stream:
        for line in stream.iter_lines():
            if line.startswith("data:") and json.loads(line[5:]) == {"type": "heartbeat"}:
                heartbeats += 1
            if heartbeats == 3:
                break
    assert heartbeats == 3


def test_a_second_copy_needs_a_data_directory_of_its_own(running: Copy) -> None:
    command = [sys.executable, "-m", "shirase", "up", "--demo", "--port", str(free_row(6)[0])]
    answer = subprocess.run(
        [*command, "--data-dir", str(running.data_dir)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )

    assert answer.returncode == 1
    assert answer.stderr == f"shirase: {running.data_dir} is in use by process {running.process.pid}\n"
    assert running.opens()


@pytest.mark.parametrize("offset", [0, 1, 5])
def test_a_taken_port_is_named(running: Copy, tmp_path: Path, offset: int) -> None:
    with copy_of(tmp_path, "--demo", port=running.port - offset) as copy:
        code, line = copy.refusal()

    assert code == 1
    assert "cannot be used: Address already in use; choose another --port" in line
    assert running.opens()


def test_by_default_nothing_is_open_but_the_client_port(running: Copy, tmp_path: Path) -> None:
    """On loopback by default; with another host, the client port and nothing else is open there."""
    default = listening(running)
    assert (True, running.port) in default
    assert all(on_loopback for on_loopback, _ in default)
    env = {"JWT_SECRET": "j" * 32, "PUSHPIN_SIG_KEY": "k" * 32}
    with copy_of(tmp_path, "--host", "0.0.0.0", env=env) as copy:  # noqa: S104 - the subject of the test
        copy.wait_ready()
        assert {port for on_loopback, port in listening(copy) if not on_loopback} == {copy.port}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL], ids=lambda number: number.name)
def test_up_leaves_no_process_running(running: Copy, tmp_path: Path, number: signal.Signals) -> None:
    with copy_of(tmp_path, "--demo") as copy:
        copy.wait_ready()
        assert copy.opens()
        assert all(copy.family(child) for child in CHILDREN)

        copy.process.send_signal(number)

        code = copy.process.wait(BOUND)
        if number == signal.SIGKILL:  # nobody is left to wait for them
            wait_for("end of the children", lambda: not copy.left())
        assert code == (-number if number == signal.SIGKILL else 0)
        assert not copy.left()
    assert running.opens(), "a copy beside it was ended too"


@pytest.mark.parametrize("child", CHILDREN)
def test_every_part_that_dies_is_restarted(running: Copy, child: str) -> None:
    for name in programs(running, child):
        kill(running, child, name)
        wait_for("new stream", running.opens)


def answers(port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection(("127.0.0.1", port), BOUND)):
        return True
    return False


def test_the_demos_mail_server_keeps_what_it_accepts(running: Copy) -> None:
    wait_for("mail server", lambda: answers(running.port + 5))
    with smtplib.SMTP("127.0.0.1", running.port + 5, timeout=BOUND) as smtp:
        smtp.sendmail("a@example.com", ["b@example.com"], "Subject: hello\r\n\r\nthere\r\n")
    [file] = (running.data_dir / "mail" / "new").iterdir()
    assert "Subject: hello" in file.read_text()


def test_an_own_mail_server_takes_the_place_of_the_demos() -> None:
    settings = demo_mail.environment({}, 8004, Path("/x"), "http://127.0.0.1:7999")
    assert (settings["SMTP_PORT"], settings["SHIRASE_DEMO_MAIL"]) == ("8004", "/x")
    for name in ("SMTP_HOST", "SMTP_HOST_FILE"):
        assert demo_mail.environment({name: "x"}, 8004, Path("/x"), "http://127.0.0.1:7999") == {}


def test_the_proxys_programs_have_no_secret_in_their_environment(running: Copy) -> None:
    for name, pid in programs(running, "pushpin").items():
        names = {entry.partition(b"=")[0] for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")}
        assert not names & {b"JWT_SECRET", b"PUSHPIN_SIG_KEY", b"DATABASE_URL", b"GRIP_URL"}, name


def test_a_stream_opened_without_gunicorn_waits_for_it(running: Copy) -> None:
    """A refused connect would only retry after some seconds."""
    lines = running.errors.count("gunicorn ended")
    os.kill(min(running.family("gunicorn")), signal.SIGKILL)
    wait_for("line about gunicorn", lambda: running.errors.count("gunicorn ended") > lines)
    assert running.opens(BOUND)
