"""Promise 5, Workers do not matter: restarting, killing or scaling the Python workers ends no stream."""

from collections.abc import Callable
from uuid import uuid4

import pytest

from tests.support.browser_like import Device
from tests.support.fragile import Fragile, on_both
from tests.support.stack import Stack

STREAMS = 100
USERS = 20


def kill_every_worker(stack: Stack) -> None:
    stack.kill_workers()


def reload(stack: Stack) -> None:
    stack.reload_gunicorn()


def stop_and_start(stack: Stack) -> None:
    stack.stop_gunicorn()
    stack.start_gunicorn()


def kill_the_master(stack: Stack) -> None:
    stack.kill_gunicorn()
    stack.start_gunicorn()


@on_both
@pytest.mark.parametrize("interrupt", [kill_every_worker, reload, stop_and_start, kill_the_master])
def test_workers_do_not_matter(fragile: Fragile, interrupt: Callable[[Stack], None]) -> None:
    service = fragile.service
    users = [f"user-{uuid4().hex}" for _ in range(USERS)]
    devices = service.open_many(users * (STREAMS // USERS))
    service.produce("/broadcast", {"type": "t", "title": "before", "message": "", "user_ids": users})

    interrupt(service.stack)
    service.stack.wait_ready()
    service.produce("/broadcast", {"type": "t", "title": "after", "message": "", "user_ids": users})
    for user in users:
        service.create(user, "and then")

    for device in devices:
        device.wait(lambda seen: len(seen.log) >= 3)
        assert device.titles == ["before", "after", "and then"]
        assert never_broke(device)


def test_workers_are_killed_during_writes(fragile: Fragile) -> None:
    """Every committed event arrives, although the worker that would have published it was killed."""
    service, alice = fragile.service, f"user-{uuid4().hex}"
    devices = service.open_many([alice] * 5)

    for number in range(5):
        for each in range(10):
            service.create(alice, f"{number}.{each}")
        service.stack.kill_workers()

    for device in devices:
        device.wait(lambda seen: len(seen.log) >= 50)
        assert device.seqs == service.seqs_of(alice)
        assert never_broke(device)


def never_broke(device: Device) -> bool:
    return device.open and device.connections == 1 and device.failures == 0
