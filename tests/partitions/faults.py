"""What happens to the network, and what operators do: faults for the plans of ``tests.chaos``."""

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tests.chaos.plan import Fault, Kind, Step
from tests.chaos.scene import Watched
from tests.partitions.fleet import APIS, DATABASE, HOSTS, NODES, RELAYS, Fleet
from tests.partitions.network import OURS, Network
from tests.support.browser_like import Device

Pairs = list[tuple[str, str]]  # sender and receiver
CALM = 0.5  # seconds before and after a restart


@dataclass(frozen=True, kw_only=True)
class Site(Watched):
    """The service, and the network that it is on."""

    network: Network
    fleet: Fleet

    @property
    def urls(self) -> list[str]:
        """Producers need not pass the proxy."""
        return self.fleet.urls + self.fleet.api_urls

    def at(self, node: int) -> list[Device]:
        """The devices that are connected to a node."""
        return [
            device
            for number, user in enumerate(self.users)
            for place, device in enumerate(self.devices[user])
            if (number + place) % len(NODES) == node
        ]


def link(ends: tuple[Sequence[str], Sequence[str]], *, there: bool, back: bool) -> Fault[Site]:
    """A link between two hosts of these kinds loses what is sent there, back, or both."""

    @contextmanager
    def fault(site: Site, random: random.Random) -> Iterator[None]:
        first, second = (random.choice(hosts) for hosts in ends)
        with lost(site, [(first, second)] * there + [(second, first)] * back):
            yield

    first, second = (hosts[0].rstrip("1") for hosts in ends)
    arrow = "x" if there and back else "->x" if there else "x<-"
    fault.__name__ = f"{first} {arrow} {second}"
    return fault


def isolated(hosts: Sequence[str]) -> Fault[Site]:
    """One host of this kind neither sends to any other, nor receives."""

    @contextmanager
    def fault(site: Site, random: random.Random) -> Iterator[None]:
        alone = random.choice(hosts)
        others = [host for host in [*HOSTS, OURS] if host != alone]
        with lost(site, [(alone, host) for host in others] + [(host, alone) for host in others]):
            yield

    fault.__name__ = f"{hosts[0].rstrip('1')} isolated"
    return fault


def slow(hosts: Sequence[str]) -> Fault[Site]:
    @contextmanager
    def fault(site: Site, random: random.Random) -> Iterator[None]:
        host = random.choice(hosts)
        site.network.slow(host)
        try:
            yield
        finally:
            site.network.quicken(host)

    fault.__name__ = f"{hosts[0].rstrip('1')} slow"
    return fault


def restarted(host: str) -> Fault[Site]:
    """A restart ends no stream but those of a restarted node."""

    @contextmanager
    def fault(site: Site, _random: random.Random) -> Iterator[None]:
        ending = site.at(NODES.index(host)) if host in NODES else []
        before = {device: device.connections for device in site.all_devices() if device not in ending}
        site.fleet.restart(host)
        site.fleet.wait_ready()
        yield
        ended = [device for device, count in before.items() if device.connections != count]
        assert not ended, f"the restart of {host} ended {len(ended)} other streams, such as {ended[0]!r}"

    fault.__name__ = f"{host} restarted"
    return fault


LINKS: list[tuple[Sequence[str], Sequence[str]]] = [
    (NODES, APIS),
    (APIS, [DATABASE]),
    (RELAYS, [DATABASE]),
    (RELAYS, NODES),
    ([OURS], NODES),
    ([OURS], APIS),
]
MODES = [(True, True), (True, False), (False, True)]
KINDS: list[Kind[Site]] = [
    *(Kind(str(ends), link(ends, there=there, back=back)) for ends in LINKS for there, back in MODES),
    *(Kind(hosts[0], fault(hosts)) for fault in (isolated, slow) for hosts in (NODES, APIS, RELAYS, [DATABASE])),
]
ROLLING = [Step(CALM, (Kind(host, restarted(host)),), CALM, silence=host in NODES) for host in [*APIS, *RELAYS, *NODES]]


@contextmanager
def lost(site: Site, pairs: Pairs) -> Iterator[None]:
    for pair in pairs:
        site.network.cut(*pair)
    try:
        yield
    finally:
        for pair in pairs:
            site.network.heal(*pair)
