"""Promise 3, Nothing twice: no connection carries a cursor twice, and no cursor names two events."""

from uuid import uuid4

from shirase.proxy.publisher import Publisher
from shirase.relay import repair
from tests.support.forwarder import Mode
from tests.support.fragile import Fragile


def test_nothing_twice_when_everything_is_published_again(fragile: Fragile) -> None:
    """The answers to the publishes are lost, and two relays publish everything again."""
    service, alice = fragile.service, f"user-{uuid4().hex}"
    devices = service.open_many([alice] * 3)
    fragile.control.mode = Mode.LOSE_ANSWER
    for number in range(5):
        service.create(alice, str(number))
    fragile.control.mode = Mode.PASS
    repair.repair(service.database, Publisher(fragile.stack.settings))
    service.create(alice, "last")
    for device in devices:
        device.wait(lambda seen: seen.titles[-1:] == ["last"])
        assert device.seqs == service.seqs_of(alice)
        assert device.connections == 1


def test_nothing_twice_when_browsers_reconnect(fragile: Fragile) -> None:
    """Each new connection resumes after the last cursor, during writes."""
    service, alice = fragile.service, f"user-{uuid4().hex}"
    devices = service.open_many([alice] * 3)
    for device in devices:
        device.longest_retry = 0.1
    for number in range(30):
        service.create(alice, str(number))
        devices[number % 3].drop()
    for device in devices:
        device.wait(lambda seen: seen.titles[-1:] == ["29"])
        assert device.seqs == service.seqs_of(alice)
        assert device.connections > 1
    by_cursor = {(event.id, event.data) for device in devices for event in device.log}
    assert len(by_cursor) == len({cursor for cursor, _ in by_cursor})
