"""The measurements of a running design. A figure is returned only if nothing was lost."""

import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from bench.designs import SETTLED, Design, Shirase, publish
from bench.load import Answered, Lost, Report, Streams, request, send, streams
from bench.machine import memory_kb

Figures = dict[str, float]
MOST_CANCELLED = 100  # of this many streams, one may be cancelled
TRIES = 5
POST = 1200  # events, just below the limit of one megabyte per POST


@dataclass(frozen=True, slots=True)
class Size:
    """The sizes of a run: of minutes, or of seconds to show that it works."""

    rounds: int = 4
    seconds: float = 2.5  # of a run at full load
    clients: int = 16  # that create in parallel
    users: int = 1000
    listeners: int = 50  # of the users hold a stream meanwhile
    warming: int = 20  # creates before, because each worker's first ones fill caches
    lone: int = 80  # creates one by one, for their latency
    batches: tuple[int, ...] = (100, 1000)
    broadcast: int = 10_000
    fan_out: int = 1000  # connections of one user
    repeats: int = 10  # of a fan-out
    connects: int = 750
    in_flight: int = 32
    replayed: int = 100
    missed: int = 250  # users with events to replay
    returning: int = 2000  # streams that are cut, and return at once
    held: tuple[int, ...] = (1000, 5000, 15_000)
    storm: int = 5000
    settling: float = 3  # seconds until work after a connect is done, such as the proxy's check of a new channel
    first_heartbeats: float = 30  # seconds until every held stream has had one
    idle_seconds: float = 20
    rows: tuple[int, ...] = (10_000, 100_000, 1_000_000)
    turns: int = 5  # per number of rows
    asked: int = 100  # requests of each kind in a turn
    known: int = 1_000_000  # users of an announcement
    connected: int = 10_000  # of them
    opened: int = 1000  # streams that open in ``opened_in`` seconds while notifications are created
    opened_in: float = 2


QUICK = Size(
    rounds=1,
    seconds=0.3,
    clients=4,
    users=100,  # at least a batch's size: within one POST Pushpin drops a user's second event with the same stamp
    listeners=5,
    warming=1,
    lone=5,
    batches=(100,),
    broadcast=200,
    fan_out=20,
    repeats=2,
    connects=20,
    missed=20,
    returning=20,
    in_flight=8,
    held=(20, 40),
    storm=40,
    settling=0,
    first_heartbeats=0,
    idle_seconds=0.5,
    rows=(10_000, 20_000),
    turns=2,
    asked=8,
    known=1000,
    connected=20,
    opened=20,
    opened_in=0.2,
)


def user(number: int) -> str:
    """Return the id of a user."""
    return f"user-{number:05d}"


def settle(design: Design, size: Size) -> None:
    """Wait until a service has run for long enough that it knows who is connected, about 25 s."""
    if isinstance(design, Shirase) and size.settling:
        _until(lambda: design.count("connections WHERE user_id = ''") > 0, lambda: "the relay has marked no node")


def latency(design: Design, size: Size) -> Figures:
    """Measure from sending the POST to the event's arrival, one at a time."""
    listeners = [design.stream(user(n)) for n in range(size.listeners)]
    requests = [design.create([user(n % size.listeners)], n) for n in range(size.lone)]
    send(design.producers, [design.create(["nobody"])], count=size.warming).all_as(design.accepted)
    with _kept(design, size.lone), _listening(design, listeners) as held:
        time.sleep(size.settling)
        send(design.producers, requests, count=size.lone, pause_ms=20).all_as(design.accepted)
        seen = arrived(held, size.lone)
    figures = {"p50_ms": seen.p50_ms, "p99_ms": seen.p99_ms}
    if isinstance(design, Shirase):  # a request that needs no database, through the proxy and without it
        nothing = [request("GET", "/healthz", "none")] * size.lone
        for name, address in (("proxied_ms", design.address), ("direct_ms", design.origin)):
            figures[name] = send(address, nothing, count=size.lone, pause_ms=20).all_as(200).p50_ms
    return figures


def creates(design: Design, size: Size, batch: int = 1, address: str | None = None) -> Figures:
    """Measure creates a second at full load, in batches, while some of the users listen."""
    groups = [[user((n * batch + k) % size.users) for k in range(batch)] for n in range(size.users)]
    requests = [design.create(group, n) for n, group in enumerate(groups)]
    before = design.stored()
    listeners = [design.stream(user(n)) for n in range(size.listeners if design.keeps_up else 0)]
    with _listening(design, listeners) as held:
        used = design.processor_seconds()
        answered = send(address or design.producers, requests, clients=size.clients, seconds=size.seconds)
        answered.all_as(design.accepted)
        share = {part: now - used[part] for part, now in design.processor_seconds().items()}
        sent = Counter(name for n in range(answered.finished) for name in groups[n % len(groups)])
        arrived(held, sum(sent[user(n)] for n in range(len(listeners))))
    _stored(design, before, answered.finished * batch)
    number = answered.finished * batch
    shares = {f"{part}_ms": used * 1000 / number for part, used in (*share.items(), ("load", answered.cpu))}
    return {"per_second": number / answered.seconds, **_times(answered), **shares}


def creates_at_origin(design: Design, size: Size) -> Figures:
    """Measure single creates sent to gunicorn directly, as producers in the same network can."""
    assert isinstance(design, Shirase)
    return creates(design, size, address=design.origin)


def broadcast(design: Design, size: Size) -> Figures:
    """Measure a broadcast until its answer, which follows the last commit and publish."""
    assert isinstance(design, Shirase)
    users = [user(n) for n in range(size.broadcast)]
    listeners = [design.stream(user(n * size.broadcast // size.listeners)) for n in range(size.listeners)]
    repeats = 3
    with _kept(design, repeats * size.broadcast), _listening(design, listeners) as held:
        used = design.processor_seconds()
        answered = send(design.address, [design.broadcast(users)], count=repeats).all_as(201)
        arrived(held, repeats * len(listeners))
        share = {part: now - used[part] for part, now in design.processor_seconds().items()}
    return {**_times(answered), **{f"{part}_ms": used * 1000 / repeats for part, used in share.items()}}


def publish_many(design: Design, size: Size) -> Figures:
    """Measure publishing a broadcast's events alone, in POSTs as large as the control port accepts."""
    users = [user(n) for n in range(size.broadcast)]
    posts = [publish(users[n : n + POST]) for n in range(0, len(users), POST)]
    taken = [send(design.producers, posts, count=len(posts)).all_as(200).seconds * 1000 for _ in range(3)]
    return {"p50_ms": statistics.median(taken), "p99_ms": max(taken)}


def fan_out(design: Design, size: Size) -> Figures:
    """Measure from the POST to the arrival at each of one user's many connections."""
    listeners = [design.stream("everywhere")] * size.fan_out
    with _kept(design, size.repeats), streams(design.address, listeners, in_flight=4) as held:
        time.sleep(0.1)
        opened = most_open(held.report(), size.fan_out)
        requests = [design.create(["everywhere"], n) for n in range(size.repeats)]
        send(design.producers, requests, count=size.repeats, pause_ms=200).all_as(design.accepted)
        seen = arrived(held, size.repeats * opened)
    return {"p50_ms": seen.p50_ms, "p99_ms": seen.p99_ms}


def connects(design: Design, size: Size, replay: int = 0) -> Figures:
    """Measure streams opened a second, each of another user, until the last missed event has arrived."""
    if replay and isinstance(design, Shirase):
        prepare_replay(design, size)
        requests = [design.stream(f"missed-{n % size.missed}", replay=replay) for n in range(size.connects)]
    else:
        requests = [design.stream(f"new-{n}", replay=replay) for n in range(size.connects)]
    used = design.processor_seconds()
    with streams(design.address, requests, in_flight=size.in_flight, events=replay) as held:
        opened = held.opened
        most_open(opened, size.connects)
        share = {part: now - used[part] for part, now in design.processor_seconds().items()}
        if replay and (opened.least, opened.greatest) != (replay, replay):
            raise Lost(f"{opened.least} to {opened.greatest} events were replayed instead of {replay}")
    shares = {f"{part}_ms": used * 1000 / size.connects for part, used in (*share.items(), ("load", opened.cpu))}
    times = {"p50_ms": opened.p50_ms, "p99_ms": opened.p99_ms, "failed": opened.failed}
    return {"per_second": opened.open / opened.seconds, **times, **shares}


def returns(design: Design, size: Size) -> Figures:
    """Cut many streams, create an event for each, and measure until all are back with it, as browsers reconnect."""
    names = [f"back-{n}" for n in range(size.returning)]
    with streams(design.address, [design.stream(name) for name in names], in_flight=size.in_flight):
        time.sleep(size.settling)
    missed = [design.create([name], n) for n, name in enumerate(names)]
    send(design.producers, missed, clients=4, count=len(missed)).all_as(design.accepted)
    if not design.recovers:
        time.sleep(size.settling)  # what it publishes late would still arrive
    events = int(design.recovers)
    back = [design.stream(name, replay=events) for name in names]
    with streams(design.address, back, in_flight=size.returning, events=events) as held:
        opened = held.opened
    if opened.open and (opened.least, opened.greatest) != (events, events):
        raise Lost(f"streams came back with {opened.least} to {opened.greatest} events instead of {events}")
    times = {"p50_ms": opened.p50_ms, "p99_ms": opened.p99_ms, "failed": opened.failed}
    return {"seconds": opened.seconds, "lost": 0 if events else len(names), **times}


def prepare_replay(design: Shirase, size: Size) -> None:
    """Create the events that users will have missed."""
    if design.count("streams WHERE user_id LIKE 'missed-%'"):
        return
    names = [f"missed-{n}" for n in range(size.missed)]
    groups = [[name] * size.replayed for name in names]
    requests = [design.create(group, n) for n, group in enumerate(groups)]
    send(design.origin, requests, clients=4, count=len(requests)).all_as(201)


def memory(design: Design) -> dict[str, int]:
    """Return the kilobytes of each part."""
    return {part: memory_kb(pids) for part, pids in design.parts().items()}


def _times(answered: Answered) -> Figures:
    return {"p50_ms": answered.p50_ms, "p99_ms": answered.p99_ms}


def most_open(opened: Report, requested: int) -> int:
    """Return how many streams opened.

    At full load Pushpin 1.36 occasionally cancels one ("received message out of sequence, canceling"). The figures of
    connects count these, and clients retry.

    Raises:
        Lost: if more than a few failed.
    """
    if requested - opened.open > max(1, requested // MOST_CANCELLED):
        raise Lost(f"{opened.open} of {requested} streams opened, {opened.failed} failed")
    return opened.open


@contextmanager
def _listening(design: Design, requests: list[bytes]) -> Iterator[Streams]:
    """Hold streams, all of them open: Pushpin may cancel one while others open (see ``most_open``)."""
    with ExitStack() as opening:
        requests = requests or [design.stream("nobody")]
        for _ in range(TRIES):
            held = opening.enter_context(streams(design.address, requests, in_flight=2))
            time.sleep(0.1)
            if held.report().open == len(requests):
                break
            opening.close()
        else:
            raise Lost(f"not all of {len(requests)} streams stay open")
        yield held


def arrived(held: Streams, stamps: int) -> Report:
    """Wait until this many events have arrived, and a moment longer for excess ones."""
    _until(lambda: held.report().stamps >= stamps, lambda: f"{held.report().stamps} of {stamps} events arrived")
    time.sleep(0.1)
    last = held.report()
    if last.stamps != stamps:
        raise Lost(f"{last.stamps} events arrived instead of {stamps}, and {last.dropped} streams were dropped")
    return last


@contextmanager
def _kept(design: Design, number: int) -> Iterator[None]:
    before = design.stored()
    yield
    _stored(design, before, number)


def _stored(design: Design, before: int, number: int) -> None:
    """Check that all answered creates are committed, and published."""
    if before < 0:
        return
    if design.stored() - before != number:
        raise Lost(f"{design.stored() - before} notifications were stored instead of {number}")
    _until(lambda: design.unpublished() == 0, lambda: f"{design.unpublished()} events are not published")


def _until(condition: Callable[[], bool], otherwise: Callable[[], str]) -> None:
    deadline = time.monotonic() + SETTLED
    while not condition():
        if time.monotonic() > deadline:
            raise Lost(otherwise())
        time.sleep(0.05)
