"""The faults. Each breaks something when it is entered and repairs it when it is left."""

import os
import random
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from tests.chaos.plan import Fault, Kind, Step, make_plan
from tests.chaos.scene import Scene
from tests.support.forwarder import Forwarder, Mode

HELD = 5.0  # seconds to wait for a publish, while producers write continuously


@contextmanager
def worker_killed_between_commit_and_publish(scene: Scene, random: random.Random) -> Iterator[None]:
    """Hold a worker's publish, which follows the commit, and kill the worker, so that it never arrives."""
    control = random.choice(scene.controls)
    control.mode = Mode.HOLD
    try:
        with suppress(AssertionError):  # another fault blocks the producers
            control.wait_held(timeout=HELD)
        for port in control.held[:1]:
            with suppress(ProcessLookupError):
                os.kill(owner_of(port, scene.stack.worker_pids()), signal.SIGKILL)
            control.drop(port)
    finally:
        control.mode = Mode.PASS
        control.release()
    yield


@contextmanager
def worker_killed(scene: Scene, random: random.Random) -> Iterator[None]:
    pids = scene.stack.worker_pids()
    with suppress(ProcessLookupError, IndexError):
        os.kill(random.choice(sorted(pids)), signal.SIGKILL)
    yield


@contextmanager
def workers_replaced(scene: Scene, _random: random.Random) -> Iterator[None]:
    scene.stack.reload_gunicorn()
    yield


@contextmanager
def gunicorn_killed(scene: Scene, _random: random.Random) -> Iterator[None]:
    """Kill the master first: the workers must notice by themselves."""
    if scene.stack.gunicorn_pid:
        os.kill(scene.stack.gunicorn_pid, signal.SIGKILL)
    yield
    scene.stack.kill_gunicorn()
    scene.stack.start_gunicorn()


@contextmanager
def relay_killed(scene: Scene, random: random.Random) -> Iterator[None]:
    number = random.randrange(2)
    scene.stack.kill_relay(number)
    yield
    scene.stack.start_relay(number)


@contextmanager
def both_relays_killed(scene: Scene, _random: random.Random) -> Iterator[None]:
    for number in range(2):
        scene.stack.kill_relay(number)
    yield
    for number in range(2):
        scene.stack.start_relay(number)


@contextmanager
def pushpin_program_killed(scene: Scene, random: random.Random) -> Iterator[None]:
    """Kill one program of a node; then restart the node as a supervisor does."""
    node = random.randrange(len(scene.controls))
    programs = scene.stack.pushpin_programs(node)
    if programs:
        with suppress(ProcessLookupError):
            os.kill(programs[random.choice(sorted(programs))], signal.SIGKILL)
    yield
    scene.stack.kill_pushpin(node)
    scene.stack.start_pushpin(node)


@contextmanager
def node_down(scene: Scene, random: random.Random) -> Iterator[None]:
    node = random.randrange(len(scene.controls))
    scene.stack.kill_pushpin(node)
    yield
    scene.stack.start_pushpin(node)


def control_port(mode: Mode) -> Fault[Scene]:
    @contextmanager
    def fault(scene: Scene, random: random.Random) -> Iterator[None]:
        chosen = random.choice([scene.controls[:1], scene.controls[1:], scene.controls])
        with failing(chosen, mode):
            yield

    fault.__name__ = f"control_port_{mode.name.lower()}"
    return fault


@contextmanager
def origin_unreachable(scene: Scene, _random: random.Random) -> Iterator[None]:
    with failing([scene.origin], Mode.REFUSE):
        scene.origin.cut()
        yield


@contextmanager
def origin_slow(scene: Scene, _random: random.Random) -> Iterator[None]:
    with failing([scene.origin], Mode.SLOW):
        yield


@contextmanager
def answers_of_the_origin_lost(scene: Scene, _random: random.Random) -> Iterator[None]:
    """Requests take effect but their answers are lost: producers repeat them, Pushpin's recoveries fail."""
    with failing([scene.origin], Mode.LOSE_ANSWER):
        yield


@contextmanager
def postgres_restarted(scene: Scene, random: random.Random) -> Iterator[None]:
    assert scene.postgres
    scene.postgres.stop(random.choice(["immediate", "fast"]))
    yield
    scene.postgres.start()


@contextmanager
def database_connections_cut(scene: Scene, _random: random.Random) -> Iterator[None]:
    """Cut connections in any state: some in mid-transaction, some with a commit whose answer is lost."""
    assert scene.database_line
    scene.database_line.cut()
    yield


@contextmanager
def sqlite_locked(scene: Scene, _random: random.Random) -> Iterator[None]:
    """Hold SQLite's write lock, like another program with a long transaction."""
    assert scene.sqlite
    with closing(sqlite3.connect(scene.sqlite, timeout=HELD, isolation_level=None)) as connection:
        with suppress(sqlite3.OperationalError):  # the producers may not leave it a turn
            connection.execute("BEGIN IMMEDIATE")
        yield
        if connection.in_transaction:
            connection.execute("ROLLBACK")


@contextmanager
def devices_stop_reading(scene: Scene, random: random.Random) -> Iterator[None]:
    devices = random.sample(scene.all_devices(), k=len(scene.all_devices()) // 4 + 1)
    for device in devices:
        device.stop_reading()
    yield
    for device in devices:
        device.go_on_reading()


@contextmanager
def devices_lose_the_network(scene: Scene, random: random.Random) -> Iterator[None]:
    for device in random.sample(scene.all_devices(), k=len(scene.all_devices()) // 2):
        device.drop()
    yield


@contextmanager
def devices_join(scene: Scene, random: random.Random) -> Iterator[None]:
    """Open new devices, which may lose the network before they received an event."""
    for user in random.sample(scene.users, k=3):
        device = scene.open(user, random.randrange(len(scene.controls)))
        with suppress(AssertionError):  # another fault delays it
            device.wait(lambda seen: seen.received, HELD)
        device.drop()
    yield


CONTROL_MODES = [Mode.REFUSE, Mode.CUT, Mode.HANG, Mode.FAIL, Mode.SLOW, Mode.LOSE_ANSWER]
KINDS: list[Kind[Scene]] = [
    Kind("worker", worker_killed_between_commit_and_publish),
    Kind("worker", worker_killed),
    Kind("worker", workers_replaced),
    Kind("worker", gunicorn_killed),
    Kind("relay", relay_killed),
    Kind("relay", both_relays_killed),
    Kind("node", pushpin_program_killed),
    Kind("node", node_down),
    *(Kind("control", control_port(mode)) for mode in CONTROL_MODES),
    Kind("origin", origin_unreachable),
    Kind("origin", origin_slow),
    Kind("origin", answers_of_the_origin_lost),
    Kind("devices", devices_stop_reading),
    Kind("devices", devices_lose_the_network),
    Kind("devices", devices_join),
]
OF_SQLITE = [Kind("database", sqlite_locked)]
OF_POSTGRESQL = [Kind("database", postgres_restarted), Kind("database", database_connections_cut)]
LONG = Step(1.0, (Kind("origin", origin_unreachable),), 60.0, silence=True)  # once, in a long run
LONG_RUN = 300.0  # seconds


def planned(seed: int, seconds: float, database: str) -> list[Step[Scene]]:
    """The schedule for one database."""
    steps = make_plan(KINDS + (OF_SQLITE if database == "sqlite" else OF_POSTGRESQL), seed, seconds)
    if seconds >= LONG_RUN:
        steps.insert(len(steps) // 2, LONG)
    return steps


@contextmanager
def failing(forwarders: list[Forwarder], mode: Mode) -> Iterator[None]:
    for forwarder in forwarders:
        forwarder.mode = mode
    try:
        yield
    finally:
        for forwarder in forwarders:
            forwarder.mode = Mode.PASS


def owner_of(port: int, pids: set[int]) -> int:
    """Return which of these processes has a connection from this port.

    Raises:
        ProcessLookupError: if none has.
    """
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {fields[9] for fields in lines if int(fields[1].partition(":")[2], 16) == port}
    sockets = {f"socket:[{inode}]" for inode in inodes}
    for pid in pids:
        with suppress(OSError):
            if sockets & {str(link.readlink()) for link in Path(f"/proc/{pid}/fd").iterdir()}:
                return pid
    raise ProcessLookupError(port)
