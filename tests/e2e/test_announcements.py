"""Announcements through a complete service. Each test has a topic of its own: the users of others must not get it."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from shirase.access.tokens import WRITE
from shirase.client.client import Client
from tests.support.browser_like import Browsers
from tests.support.fragile import fragile_service
from tests.support.loop_thread import wait_until
from tests.support.service import Service, draft

WAIT = 20.0
TIMEOUT = 60


@pytest.fixture
def topic(service: Service) -> Callable[[list[str]], str]:
    """Return a function that makes a topic with these members."""

    def make(users: list[str]) -> str:
        name = f"topic-{uuid4().hex}"
        answer = service.ask("POST", f"/api/topics/{name}/members", scope=WRITE, json={"add": users})
        assert answer.json() == {"added": len(users), "removed": 0}, answer.text
        return name

    return make


def announce(service: Service, topic: str, title: str = "title") -> Any:
    answer = service.ask("POST", "/api/announcements", scope=WRITE, json=draft(title, topic=topic))
    assert answer.status_code == 201, answer.text
    return answer.json()


def find(service: Service, number: int) -> Any:
    return service.ask("GET", f"/api/announcements/{number}", scope=WRITE).json()


def test_open_streams_get_it_and_absent_users_when_they_come(
    service: Service, topic: Callable[[list[str]], str]
) -> None:
    present, absent, lists = ([f"{kind}-{uuid4().hex}" for _ in range(5)] for kind in ("present", "absent", "lists"))
    devices = service.open_many(present)
    made = announce(service, topic([*present, *absent, *lists]), "A")
    for device in devices:
        device.wait(lambda seen: seen.log)
        assert device.titles == ["A"]
    assert find(service, made["id"])["reached"] == len(present)
    for user in absent:
        assert service.open(user).named("connected")[0].json["unread_count"] == 1
    for user in lists:
        assert service.ask("GET", "/api/notifications/counts", user).json()["unread_count"] == 1
    service.ask("POST", "/api/notifications/read-all", present[0])
    result = find(service, made["id"])
    assert (result["reached"], result["read"], result["waiting"]) == (15, 1, 0)
    assert service.ask("DELETE", f"/api/announcements/{made['id']}", scope=WRITE).status_code == 204
    for device in devices:
        device.wait(lambda seen: seen.named("deleted"))
    assert service.ask("GET", "/api/notifications", absent[0]).json()["notifications"] == []


def test_without_a_relay_open_streams_wait_and_others_have_it(
    database_url: str, tmp_path: Path, browsers: Browsers
) -> None:
    with fragile_service(database_url, tmp_path, browsers) as fragile:
        service, stack = fragile.service, fragile.stack
        [device] = fragile.open_settled(["present"])
        stack.kill_relay(0)
        made = announce(service, "everyone", "A")
        assert find(service, made["id"])["waiting"] >= 1  # besides who found out whether the service is ready
        other = service.open("present")  # the user's second device takes it over for both
        assert other.named("connected")[0].json["unread_count"] == 1
        device.wait(lambda seen: seen.titles == ["A"])
        [second] = fragile.open_settled(["waits"])
        announce(service, "everyone", "B")
        stack.start_relay(0)
        second.wait(lambda seen: seen.titles == ["B"])
        device.wait(lambda seen: seen.titles == ["A", "B"])


def test_the_command_shows_how_many_it_reaches(
    service: Service, topic: Callable[[list[str]], str], tmp_path: Path
) -> None:
    users = [f"user-{uuid4().hex}" for _ in range(3)]
    service.open_many(users)
    environ = {**os.environ, **service.stack.settings_env, "SHIRASE_URL": service.stack.url}

    def shirase(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "shirase", *arguments]
        return subprocess.run(
            command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT, check=False
        )

    ended = shirase("announce", "--topic", topic(users), "--type", "t", "--title", "T", "--message", "")
    assert ended.returncode == 0, ended.stderr
    assert "reached 3 users, 0 connected ones to go" in ended.stderr
    assert "everyone who is connected has it" in ended.stderr
    made = json.loads(ended.stdout)
    assert (made["reached"], made["waiting"]) == (3, 0)
    traced = shirase("trace", "--announcement", str(made["id"]))
    assert [line.split()[0] for line in traced.stdout.splitlines()] == [
        "announcement",
        "created",
        "spread",
        "reached",
        "read",
    ]
    assert shirase("trace", "--announcement", str(2**40)).returncode == 1


def test_the_python_client_announces(service: Service) -> None:
    user, name = f"user-{uuid4().hex}", f"topic-{uuid4().hex}"
    with Client(service.stack.url, service.stack.token("producer", WRITE)) as client:
        assert client.change_members(name, add=[user]) == (1, 0)
        made = client.announce(name, type="t", title="T", message="")
        wait_until(lambda: client.announcement(made.id).waiting == 0, WAIT, "connected users wait")
        assert service.ask("GET", "/api/notifications/unread-count", user).json() == {"unread_count": 1}
        assert client.announcement(made.id).reached == 1
        client.delete_announcement(made.id)
        assert service.ask("GET", "/api/notifications/unread-count", user).json() == {"unread_count": 0}
