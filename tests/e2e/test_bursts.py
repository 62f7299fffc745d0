"""More events at once than the proxy keeps for a connection arrive all the same, with nothing to follow them."""

from tests.service import Service

BATCHES = 3
SIZE = 1000


def test_the_tail_of_a_burst_arrives_though_nothing_follows_it(service: Service) -> None:
    device = service.open("burst")
    for batch in range(BATCHES):
        service.create_batch("burst", [f"{batch}-{number}" for number in range(SIZE)])
    device.wait(lambda one: len(one.titles) >= BATCHES * SIZE)
    assert device.titles == [f"{batch}-{number}" for batch in range(BATCHES) for number in range(SIZE)]
