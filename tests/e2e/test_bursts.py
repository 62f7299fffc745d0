"""More events at once than the proxy queues for a connection arrive without a later event."""

from uuid import uuid4

from shirase.inbox.events import BURST
from shirase.proxy.grip import user_channel
from shirase.proxy.publisher import Publisher, hint
from tests.support.forwarder import WAIT, Mode
from tests.support.fragile import Fragile, on_both
from tests.support.loop_thread import wait_until
from tests.support.service import Service

BATCHES = 3
SIZE = 1000


def test_the_end_of_a_burst_arrives_without_a_later_event(service: Service) -> None:
    device = service.open("burst")
    for batch in range(BATCHES):
        service.create_batch("burst", [f"{batch}-{number}" for number in range(SIZE)])
    device.wait(lambda seen: len(seen.titles) >= BATCHES * SIZE)
    assert device.titles == [f"{batch}-{number}" for batch in range(BATCHES) for number in range(SIZE)]


@on_both
def test_the_end_of_a_burst_during_a_recovery_arrives(
    fragile: Fragile,
) -> None:
    """The proxy queues the first 100; published one at a time, they are no burst to their publishers."""
    service, alice = fragile.service, f"user-{uuid4().hex}"
    (device,) = fragile.open_settled([alice])
    fragile.origin.mode = Mode.HOLD_ANSWER
    have_it_read_again(fragile, alice)
    titles = [str(number) for number in range(3 * BURST)]
    for title in titles:
        service.create(alice, title, url=fragile.stack.origin_url)
    assert not device.titles
    fragile.origin.mode = Mode.PASS
    fragile.origin.release()

    device.wait(lambda seen: len(seen.titles) >= len(titles))
    assert device.titles == titles
    assert device.connections == 1


def have_it_read_again(fragile: Fragile, user: str) -> None:
    """Send hints until one takes effect: a stream that is being read, as in its first second, ignores them."""
    publisher = Publisher(fragile.stack.settings)
    hints = [hint(user_channel(user))]
    wait_until(
        lambda: fragile.origin.holds or (publisher.publish_to(publisher.nodes[0], hints) and fragile.origin.holds),
        WAIT,
        "Pushpin did not read the stream again",
        interval=0.2,
    )
