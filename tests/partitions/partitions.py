"""One run: producers write while links fail by a plan and every part is restarted; then everything is compared."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import cast

from tests.chaos.chaos import Options, Report, compare, write_and_break
from tests.chaos.plan import make_plan
from tests.chaos.scene import users_named
from tests.partitions.faults import KINDS, ROLLING, Site
from tests.partitions.fleet import APIS, HANDLERS, HOSTS, NODES, Fleet, migrated, postgres_on
from tests.partitions.network import DELAY, Network
from tests.support.browser_like import Browsers, Device
from tests.support.service import service
from tests.support.stack import Stack

LASTS = (0.3, 6.0)  # seconds of a fault
LONG = 30.0  # seconds from which each host is restarted, and not one of each kind
BOUND = 30.0  # seconds after the last repair until every stream is back


def run(options: Options, show: Callable[[str], None]) -> Report:
    """Run and compare; ``show`` receives each step."""
    report = Report(options)
    with (
        tempfile.TemporaryDirectory(prefix="shirase-partitions-", ignore_cleanup_errors=True) as directory,
        site(Path(directory), options.users) as running,
    ):
        steps = make_plan(KINDS, options.seed, options.seconds, LASTS)
        restarts = ROLLING if options.seconds >= LONG else ROLLING[::2]
        write_and_break(running, [*steps, *restarts], report, show, BOUND)
        compare(running, report)
        if running.network.slows_by != DELAY:
            show("this kernel has no netem: slow links had a low rate instead of delays and losses")
        if not report.passed:
            report.failures.append(f"seed {options.seed}; the ends of the logs:\n{running.fleet.logs()}")
    return report


@contextmanager
def site(data_dir: Path, users: int) -> Iterator[Site]:
    """Lay out the hosts, start everything, and open two devices per user, at different nodes."""
    with ExitStack() as running:
        network = running.enter_context(Network(HOSTS, {HANDLERS: APIS}, data_dir))
        postgres = running.enter_context(postgres_on(network))
        browsers = running.enter_context(Browsers())
        fleet = running.enter_context(Fleet(network, migrated(network, postgres), data_dir))
        # The fleet has what the chaos tests use of a stack.
        of_fleet = running.enter_context(service(cast(Stack, fleet), browsers))
        names = users_named(users)
        devices: dict[str, list[Device]] = {user: [] for user in names}
        made = Site(service=of_fleet, browsers=browsers, users=names, devices=devices, network=network, fleet=fleet)
        made.open_all(len(NODES))
        yield made
