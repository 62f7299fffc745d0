"""The commands that use a running service, as processes."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.support.service import Service

TIMEOUT = 30


@pytest.fixture
def environ(service: Service) -> dict[str, str]:
    return {**os.environ, **service.stack.settings_env, "SHIRASE_URL": service.stack.url, "PYTHONUNBUFFERED": "1"}


def shirase(*arguments: str, environ: dict[str, str], cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "shirase", *arguments]
    return subprocess.run(command, env=environ, cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT, check=False)


def test_a_token_is_signed_with_its_secret_alone(service: Service, environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(environ["JWT_SECRET"])
    alone = {"PATH": os.environ["PATH"], "JWT_SECRET_FILE": f"{tmp_path}/secret"}
    made = shirase("token", "--user", "aiko", environ=alone, cwd=tmp_path)
    assert made.returncode == 0, made.stderr
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    assert service.http.get(f"{service.stack.url}/api/notifications", headers=headers).status_code == 200


@pytest.mark.parametrize("program", [["-m", "shirase", "relay"], ["-c", "import shirase.wsgi"]])
def test_a_process_reads_the_file_env(tmp_path: Path, program: list[str]) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=nowhere\n")
    command = [sys.executable, *program]
    environ = {"PATH": os.environ["PATH"]}
    ended = subprocess.run(
        command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT, check=False
    )
    assert (ended.returncode > 0, ended.stderr.startswith("shirase: DATABASE_URL: ")) == (True, True), ended.stderr
    assert "is not set" not in ended.stderr


def test_token_opens_what_it_names(service: Service, environ: dict[str, str], tmp_path: Path) -> None:
    user = f"user-{uuid4().hex}"
    service.create(user)
    made = shirase("token", "--user", user, "--ttl", "60", environ=environ, cwd=tmp_path)
    assert made.returncode == 0, made.stderr

    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    answer = service.http.get(f"{service.stack.url}/api/notifications", headers=headers)

    assert answer.json()["unread_count"] == 1
    refused = service.http.post(f"{service.stack.url}/api/notifications", headers=headers, json={})
    assert refused.status_code == 403


def test_send_reaches_a_device(service: Service, environ: dict[str, str], tmp_path: Path) -> None:
    user = f"user {uuid4().hex}; 知"
    device = service.open(user)

    options = {"--user": user, "--type": "t", "--title": "お知らせ", "--message": "m", "--payload": '{"a": 1}'}
    sent = shirase("send", *[word for pair in options.items() for word in pair], environ=environ, cwd=tmp_path)

    assert sent.returncode == 0, sent.stderr
    device.wait(lambda seen: seen.log)
    assert device.log[0].json == json.loads(sent.stdout)
    assert device.log[0].json["payload"] == {"a": 1}
    assert device.titles == ["お知らせ"]


def test_trace_prints_the_history_of_a_notification(service: Service, environ: dict[str, str], tmp_path: Path) -> None:
    user = f"user-{uuid4().hex}"
    service.open(user)
    number = service.create(user)["id"]

    traced = shirase("trace", str(number), environ=environ, cwd=tmp_path)
    unknown = shirase("trace", str(2**40), environ=environ, cwd=tmp_path)

    assert traced.returncode == 0, traced.stderr
    result = [line.split()[0] for line in traced.stdout.splitlines()]
    assert result == ["notification", "created", "committed", "published", "streams", "read", "policy"]
    assert traced.stdout.startswith(f"notification {number} for {user}, test; event {user}/1\n")
    assert f"accepted by {service.stack.control_urls[0]}" in traced.stdout
    assert "streams    1 of this user was open then" in traced.stdout
    assert unknown.returncode == 1
    assert unknown.stderr.startswith("shirase: 404 ")


def test_send_reports_an_error_in_one_line(environ: dict[str, str], tmp_path: Path) -> None:
    options = ["--user", "u", "--title", "t", "--message", "m"]

    refused = shirase("send", *options, "--type", "a b", environ=environ, cwd=tmp_path)
    unreachable = shirase(
        "send", *options, "--type", "t", "--service", "http://127.0.0.1:1", environ=environ, cwd=tmp_path
    )

    for ended, message in ((refused, "422"), (unreachable, "cannot be reached")):
        assert ended.returncode == 1
        assert ended.stdout == ""
        assert message in ended.stderr
        assert len(ended.stderr.splitlines()) == 1


def test_disconnect_ends_all_streams_of_a_user(service: Service, environ: dict[str, str], tmp_path: Path) -> None:
    user = f"user-{uuid4().hex}"
    devices = service.open_many([user] * 2)
    ended = shirase("disconnect", "--user", user, environ=environ, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "2 ended\n"), ended.stderr
    for device in devices:
        device.wait(lambda seen: not seen.open)
        assert [event.json["reason"] for event in device.named("closing")] == ["revoked"]


def test_listen_prints_one_event_a_line_until_interrupted(
    service: Service, environ: dict[str, str], tmp_path: Path
) -> None:
    user = f"user-{uuid4().hex}"
    # A shell's background jobs ignore Ctrl-C; reset that in case these tests run in one.
    command = ["env", "--default-signal=INT", sys.executable, "-m", "shirase", "listen", "--user", user]
    with subprocess.Popen(command, env=environ, cwd=tmp_path, stdout=subprocess.PIPE, text=True) as listening:
        try:
            assert listening.stdout is not None
            assert json.loads(listening.stdout.readline())["event"] == "connected"
            created = service.create(user, "live")
            line = json.loads(listening.stdout.readline())
            while line["event"] == "heartbeat":
                line = json.loads(listening.stdout.readline())
            assert line["event"] == "notification"
            assert line["data"] == created
            assert line["id"]

            listening.send_signal(signal.SIGINT)
            assert listening.wait(TIMEOUT) == 0
        finally:
            listening.kill()
