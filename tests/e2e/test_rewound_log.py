"""A backup is restored under a running service: devices that saw lost events are reset, held or not."""

from uuid import uuid4

from tests.support.backup import restore, take_backup
from tests.support.service import Service


def test_a_restored_backup_resets_every_device(service: Service) -> None:
    alice = f"user-{uuid4().hex}"
    held = service.open(alice)
    dropped = service.open(alice, reconnect=False)
    service.create_batch(alice, ["1", "2", "3", "4", "5"])
    backup = take_backup(service.database)
    service.create_batch(alice, ["6", "7", "8"])
    for device in (held, dropped):
        device.wait(lambda seen: len(seen.titles) == 8)
    dropped.drop()
    dropped.wait(lambda seen: seen.done)

    restore(service.database, backup)
    for number in range(4):
        service.create(alice, f"new {number}")

    held.wait(lambda seen: seen.named("reset"))
    service.create(alice, "last")
    held.wait(lambda seen: "last" in seen.titles)
    back = service.open(alice, cursor=dropped.last_event_id)
    assert [event.event for event in back.received[:2]] == ["connected", "reset"]
