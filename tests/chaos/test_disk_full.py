"""With a full disk under SQLite, creates are refused and everything stored is delivered."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from shirase.store.migrate import migrate
from tests.support.browser_like import Browsers
from tests.support.service import Service, draft, service
from tests.support.stack import Stack

SMALL, LARGE = "3m", "30m"
MESSAGE = "x" * 4000
MOST = 2000  # messages; these do not fit

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small file system")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "disk"
    path.mkdir()
    mount("-t", "tmpfs", "-o", f"size={SMALL}", "tmpfs", str(path))
    yield path
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@pytest.fixture
def small(disk: Path, tmp_path: Path) -> Iterator[Service]:
    url = f"sqlite:///{disk / 'shirase.db'}"
    migrate(url)
    with Browsers() as browsers, Stack(url, tmp_path) as stack, service(stack, browsers) as running:
        yield running


def test_a_full_disk_refuses_and_loses_nothing(small: Service, disk: Path) -> None:
    alice = "alice"
    device, late = small.open_many([alice] * 2)
    late.longest_retry = 0.1

    confirmed, answer = 0, small.ask_to_create(alice)
    while answer.status_code == 201:
        confirmed += 1
        assert confirmed < MOST
        fields = draft(str(confirmed), user_id=alice, message=MESSAGE)
        answer = small.ask("POST", "/api/notifications", scope="notifications:write", json=fields)

    assert answer.status_code == 503
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert len(small.ask("GET", "/api/notifications", alice, params={"limit": 200}).json()["notifications"]) > 0
    late.drop()
    late.wait(lambda seen: seen.connections == 2 and len(seen.named("connected")) == 2)
    mount("-o", f"remount,size={LARGE}", str(disk))
    small.create(alice, "there is room again")

    for phone in (device, late):
        phone.wait(lambda seen: seen.titles[-1:] == ["there is room again"])
        assert phone.seqs == small.seqs_of(alice) == list(range(1, confirmed + 2))
    assert device.connections == 1


def mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
