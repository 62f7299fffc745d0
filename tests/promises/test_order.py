"""Promise 1, Order: a user's events arrive in the order of their commits, the same on every connection."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

from tests.support.service import Service

WRITERS = 200
CONNECTIONS = 5


def test_order_under_200_concurrent_writers_in_4_workers(service: Service) -> None:
    assert len(service.stack.worker_pids()) == 4
    alice = f"user-{uuid4().hex}"
    devices = service.open_many([alice] * CONNECTIONS)

    with ThreadPoolExecutor(WRITERS) as writers:
        created = list(writers.map(lambda number: service.create(alice, str(number)), range(WRITERS)))

    assert len({notification["id"] for notification in created}) == WRITERS
    stored = service.log_of(alice)
    assert [event.seq for event in stored] == list(range(1, WRITERS + 1))
    for device in devices:
        device.wait(lambda seen: len(seen.log) >= WRITERS)
        assert device.seqs == [event.seq for event in stored]
        assert [item.json["id"] for item in device.log] == [
            item.notification and item.notification.id for item in stored
        ]
        assert device.connections == 1


def test_order_of_changes_by_the_user_and_by_producers_at_once(service: Service) -> None:
    alice = f"user-{uuid4().hex}"
    devices = service.open_many([alice] * CONNECTIONS)
    numbers = [notification["id"] for notification in service.create_batch(alice, ["x"] * 40)["notifications"]]

    def change(number: int) -> None:
        service.create(alice, "y")
        service.ask("POST", "/api/notifications/read", alice, json={"ids": [number]})
        service.ask("DELETE", f"/api/notifications/{number}", alice)

    with ThreadPoolExecutor(20) as writers:
        list(writers.map(change, numbers))

    stored = service.log_of(alice)
    assert len(stored) == 4 * len(numbers)
    for device in devices:
        device.wait(lambda seen: len(seen.log) >= len(stored))
        assert [(item.seq, item.event) for item in device.log] == [(event.seq, event.kind) for event in stored]
    final = service.ask("GET", "/api/notifications/unread-count", alice).json()["unread_count"]
    body = [item.json["unread_count"] for item in devices[0].log if item.event != "notification"]
    assert final == len(numbers)
    assert body[-1] <= final
