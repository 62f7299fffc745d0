"""``python -m tests.chaos.sinks --seconds 60 --seed 7``: relays and handlers die while the other sides fail.

Mail, push messages and webhooks go to servers of the tests, which refuse, hang, break off and lose answers by a seeded
schedule, first alone, then while two relays and the handlers are killed. Then every acceptance is compared: what was
not read arrived at least once, repeats occur only around kills and lost answers, and always under the same id.
"""

import argparse
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import text

from shirase import vapid
from shirase.access.tokens import ADMIN, WRITE
from shirase.store.migrate import migrate
from tests.chaos.acceptances import Happened, Verdict, judge
from tests.support.browser_like import Browsers
from tests.support.hasty_relay import LEASE, TIMEOUT
from tests.support.loop_thread import wait_until
from tests.support.mail_server import DROP, HANG, MailServer
from tests.support.postgres import cluster
from tests.support.push_browser import Browser
from tests.support.service import Service, draft, service
from tests.support.sink import Sink, sink
from tests.support.stack import Stack

USERS = [f"user {number}; 知" for number in range(8)]
REFUSED = "refused"  # the user whose mailbox does not exist
KIND = "chaos.sent"
POLICY = [{"channel": "web_push"}, {"channel": "email", "after": "1s"}]
PRODUCERS = 2
PAUSE = 0.08  # seconds at most between two creates of a producer
READ = 0.4  # of the notifications are read, some time later
RETRY, GIVE_UP = 0.2, 60.0
HTTP_WEATHER = ["ok", "ok", "ok", "500", "503", "429", "drop", "lose", "hang"]
MAIL_WEATHER: list[str | None] = [None, None, None, "451 later", "421 closing", DROP, "lose", HANG]
CHANGES = (0.2, 0.8)  # seconds until the weather changes
CALM = (0.3, 1.5)  # between two kills
SETTLE = 60.0  # until everything must have arrived


@dataclass
class Scene:
    """The service and the other sides."""

    service: Service
    mail: MailServer
    push: Sink
    webhook: Sink
    browsers: dict[str, Browser]  # of each user, which decrypt
    happened: Happened = field(default_factory=Happened)

    @property
    def stack(self) -> Stack:
        return self.service.stack


def run(database: str, seconds: float, seed: int, show: Callable[[str], None]) -> Verdict:
    """Half of the time the sinks fail alone; in the other half relays and handlers are killed too."""
    with (
        tempfile.TemporaryDirectory(prefix="shirase-sinks-", ignore_cleanup_errors=True) as directory,
        _scene(database, Path(directory)) as scene,
    ):
        stop = threading.Event()
        threads = [threading.Thread(target=_weather, args=(scene, f"{seed} weather", stop))]
        threads += [
            threading.Thread(target=_produce, args=(scene, f"{seed} {number}", stop)) for number in range(PRODUCERS)
        ]
        for thread in threads:
            thread.start()
        try:
            time.sleep(seconds / 2)
            _kill_for(seconds / 2, scene, random.Random(seed), show)
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        scene.stack.restart_ended()
        wait_until(lambda: _left(scene) == {}, SETTLE, lambda: f"{_left(scene)}\n{scene.stack.logs()}", 0.5)
        return _judged(scene)


@contextmanager
def _scene(kind: str, data_dir: Path) -> Iterator[Scene]:
    with ExitStack() as running:
        listening = running.enter_context(Browsers())
        postgres = running.enter_context(cluster() if kind == "postgresql" else nullcontext())
        url = postgres.create("sinks") if postgres else f"sqlite:///{data_dir / 'shirase.db'}"
        migrate(url)
        mail = running.enter_context(MailServer())
        push, webhook = (running.enter_context(sink()) for _ in range(2))
        env = {
            "SMTP_HOST": "127.0.0.1",
            "SMTP_PORT": str(mail.port),
            "SMTP_SECURITY": "none",
            "SMTP_TIMEOUT": str(TIMEOUT),
            "MAIL_FROM": "noreply@example.com",
            "MAIL_WINDOW": "1",
            "PUBLIC_URL": "https://example.com",
            "VAPID_PRIVATE_KEY": vapid.generate(),
            "VAPID_CONTACT": "ops@example.com",
            "OUTBOUND_PRIVATE_HOSTS": "127.0.0.1",
            "LOG_LEVEL": "WARNING",
        }
        relay = [sys.executable, "-m", "tests.support.hasty_relay"]
        stack = running.enter_context(Stack(url, data_dir, relays=2, env=env, relay=relay))
        made = running.enter_context(service(stack, listening))
        users = {user: Browser.new(f"{push.url}/{number}") for number, user in enumerate([*USERS, REFUSED])}
        scene = Scene(made, mail, push, webhook, users)
        _prepare(scene)
        yield scene


def _prepare(scene: Scene) -> None:
    entry = {"label": "Sent", "description": "", "channels": POLICY}
    _done(scene.service.ask("PUT", f"/api/types/{KIND}", scope=ADMIN, json=entry))
    endpoint = {"url": scene.webhook.url, "types": [KIND]}
    _done(scene.service.ask("PUT", "/api/webhooks/chaos", scope=ADMIN, json=endpoint))
    for number, (user, browser) in enumerate(scene.browsers.items()):
        contact = {"email": f"{'refused' if user == REFUSED else number}@example.org"}
        _done(scene.service.ask("PUT", f"/api/users/{user}/contact", scope=WRITE, json=contact))
        _done(scene.service.ask("PUT", "/api/push/subscriptions", user, json=browser.subscription))


def _done(answer: httpx.Response) -> None:
    assert answer.is_success, answer.text


def _weather(scene: Scene, seed: str, stop: threading.Event) -> None:
    """Change what the sinks do, each by itself, until the end."""
    chance, mail = random.Random(seed), scene.mail
    current: list[str | None] = [None]

    def refuse(address: str) -> str | None:
        return "550 no such mailbox" if address.startswith("refused") else current[0]

    mail.refuse = refuse
    while not stop.wait(chance.uniform(*CHANGES)):
        chosen = chance.choice(MAIL_WEATHER)
        mail.lose, current[0] = (lambda: True, None) if chosen == "lose" else (lambda: False, chosen)
        for server in (scene.push, scene.webhook):
            server.released.set()  # what hangs ends
            server.released.clear()
            server.mode = chance.choice(HTTP_WEATHER)
    mail.lose, current[0] = (lambda: False), None
    for server in (scene.push, scene.webhook):
        server.mode = "ok"
        server.released.set()


def _produce(scene: Scene, seed: str, stop: threading.Event) -> None:
    """Create, and read some of it later; each request is repeated until it is answered."""
    chance = random.Random(seed)
    unread: list[tuple[float, str, int]] = []
    number = 0
    while not stop.wait(chance.uniform(0, PAUSE)):
        user, number = chance.choice(list(scene.browsers)), number + 1
        body = draft(f"{seed}/{number}", user_id=user, type=KIND)
        headers = {"Idempotency-Key": f"{seed}/{number}"}
        made = _until_done(scene, "POST", "/api/notifications", "producer", json=body, headers=headers)["id"]
        scene.happened.created[made] = user
        if chance.random() < READ:
            unread.append((time.monotonic() + chance.uniform(0, 3), user, made))
        for item in [item for item in unread if item[0] <= time.monotonic()]:
            unread.remove(item)
            _, user, made = item
            scene.happened.read_from[made] = time.monotonic()
            _until_done(scene, "POST", "/api/notifications/read", user, json={"ids": [made]})
            scene.happened.read_by[made] = time.monotonic()


def _until_done(scene: Scene, method: str, path: str, user: str, **options: Any) -> Any:
    deadline = time.monotonic() + GIVE_UP
    while time.monotonic() < deadline:
        with suppress(httpx.HTTPError):
            answer = scene.service.ask(method, path, user, scope=WRITE, url=scene.stack.origin_url, **options)
            if answer.is_success:
                return answer.json()
            assert answer.status_code in (409, 503), answer.text
        time.sleep(RETRY)
    raise AssertionError(f"{method} {path} is not answered")


def _kill_for(seconds: float, scene: Scene, chance: random.Random, show: Callable[[str], None]) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(chance.uniform(*CALM))
        kill = chance.choice([_kill_relays, _kill_relays, _kill_relays, _kill_worker, _kill_handlers])
        show(f"{kill.__name__[1:].replace('_', ' ')}: {kill(scene, chance)}")


def _kill_relays(scene: Scene, chance: random.Random) -> str:
    chosen = chance.choice([[0], [1], [0, 1]])
    for number in chosen:
        scene.happened.kills.append(time.monotonic())
        scene.stack.kill_relay(number)
    time.sleep(chance.uniform(0, 0.5))
    for number in chosen:
        scene.stack.start_relay(number)
    return str(chosen)


def _kill_worker(scene: Scene, chance: random.Random) -> str:
    with suppress(ProcessLookupError, IndexError):
        os.kill(chance.choice(sorted(scene.stack.worker_pids())), signal.SIGKILL)
    return "one"


def _kill_handlers(scene: Scene, _: random.Random) -> str:
    scene.stack.kill_gunicorn()
    scene.stack.start_gunicorn()
    return "all"


def _left(scene: Scene) -> dict[str, int]:
    """What still waits in the database."""
    queries = {
        "deliveries": "shirase_deliveries WHERE state = 'pending'",
        "webhook events": "shirase_webhook_queue",
    }
    with scene.service.database.autocommit() as db:
        counts = {what: db.scalar(text(f"SELECT count(*) FROM {rows}")) or 0 for what, rows in queries.items()}  # noqa: S608
    return {what: count for what, count in counts.items() if count}


def _judged(scene: Scene) -> Verdict:
    with scene.service.database.autocommit() as db:
        rows = db.execute(text("SELECT id, tag, notification_id, channel, state, reason FROM shirase_deliveries")).all()
    refused = {number for number, user in scene.happened.created.items() if user == REFUSED}
    return judge(
        scene.happened, rows, refused, scene.mail.arrivals, scene.push.accepted, scene.webhook.accepted, scene.browsers
    )


def main() -> int:
    """Run on each database."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.sinks", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="duration of the faults (60)")
    parser.add_argument("--seed", type=int, help="of the schedule; random by default")
    parser.add_argument("--database", choices=["sqlite", "postgresql"], help="both by default, one after the other")
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    passed = True
    for database in [options.database] if options.database else ["sqlite", "postgresql"]:
        verdict = run(database, options.seconds, seed, _print)
        _print(f"{database}, seed {seed}, a claim lasts {LEASE:g} s: {verdict}")
        passed = passed and not verdict.wrong
    return 0 if passed else 1


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
