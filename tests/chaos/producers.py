"""Producers and users who write continuously and repeat each request until it is answered."""

import random
import secrets
import threading
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from shirase.access.tokens import WRITE
from tests.chaos.scene import Watched
from tests.support.service import draft

PAUSE = 0.1  # seconds at most between two requests of a producer
RETRY = 0.2  # seconds until a failed request is repeated
TIMEOUT = 15.0  # seconds to wait for an answer: above the database's own timeout
GIVE_UP = 120.0  # seconds after which an unanswered request is a failure
RECENT = 200  # notifications per user that may be marked read or deleted
KEYS = ["a", "b", "c"]  # of each user
BATCH, AUDIENCE = 60, 8  # at most; more than 50 events of one user are published differently


@dataclass
class Account:
    """What was confirmed to the producers."""

    created: dict[str, int] = field(default_factory=dict)  # notifications created, by idempotency key
    requests: Counter[str] = field(default_factory=Counter)
    repeats: Counter[str] = field(default_factory=Counter)  # by the error or status
    attempted: int = 0  # to schedule; an answer may be lost
    scheduled: int = 0  # as far as it was confirmed
    announced: set[int] = field(default_factory=set)  # announcements to everyone
    deleted: set[int] = field(default_factory=set)  # some of them
    surprises: list[str] = field(default_factory=list)  # answers that must not occur


class Producer(threading.Thread):
    """A producer that creates, and that marks and deletes on behalf of users."""

    def __init__(self, scene: Watched, seed: str, write: threading.Event, account: Account) -> None:
        super().__init__(name=f"producer {seed}", daemon=True)
        self._scene = scene
        self._random = random.Random(seed)
        self._write = write
        self._done = False
        self._account = account
        self._recent: dict[str, deque[int]] = {user: deque(maxlen=RECENT) for user in scene.users}
        alone = httpx.Limits(max_keepalive_connections=0)
        self._http = httpx.Client(timeout=TIMEOUT, limits=alone, trust_env=False)

    def run(self) -> None:
        actions = [self.create, self.create_batch, self.broadcast, self.read, self.read_all, self.delete]
        actions += [self.put, self.fold, self.retract, self.change_state, self.archive_all, self.see, self.schedule]
        actions += [self.announce, self.delete_announcement]
        with self._http:
            while self._write.wait() and not self._done:
                time.sleep(self._random.uniform(0, PAUSE))
                action = self._random.choices(actions, weights=[40, 8, 6, 15, 2, 12, 15, 10, 4, 12, 1, 3, 4, 6, 1])[0]
                self._account.requests[action.__name__] += 1
                action()

    def stop(self) -> None:
        """Stop after the current request."""
        self._done = True

    def create(self) -> None:
        made = self._produce("", draft(self._title(), user_id=self._user()))
        self._remember([made])

    def create_batch(self) -> None:
        users = self._random.sample(self._scene.users, k=self._random.choice([1, 1, 3]))
        count = self._random.randint(1, BATCH)
        drafts = [draft(self._title(), user_id=self._random.choice(users)) for _ in range(count)]
        self._remember(self._produce("/batch", {"notifications": drafts}, count)["notifications"])

    def broadcast(self) -> None:
        users = self._random.sample(self._scene.users, k=self._random.randint(1, min(AUDIENCE, len(self._scene.users))))
        self._produce("/broadcast", draft(self._title(), user_ids=users), len(users))

    def read(self) -> None:
        user = self._user()
        if ids := self._some(user):
            self._send("POST", "/api/notifications/read", user, json={"ids": ids})

    def read_all(self) -> None:
        self._send("POST", "/api/notifications/read-all", self._user())

    def delete(self) -> None:
        user = self._user()
        for number in self._some(user)[:2]:
            self._recent[user].remove(number)
            self._send("DELETE", f"/api/notifications/{number}", user)

    def put(self) -> None:
        self._put(fold=False, quiet=self._random.random() < 0.2)

    def fold(self) -> None:
        self._put(fold=True, actor={"name": self._random.choice(["Ann", "Bob", "Cy", "Di"])})

    def retract(self) -> None:
        user, key = self._user(), self._random.choice(KEYS)
        self._send("DELETE", f"/api/notifications/keys/{key}", "producer", params={"user_id": user})

    def change_state(self) -> None:
        user = self._user()
        if ids := self._some(user):
            what = self._random.choice(["unread", "archive", "unarchive"])
            self._send("POST", f"/api/notifications/{what}", user, json={"ids": ids})

    def archive_all(self) -> None:
        self._send("POST", "/api/notifications/archive-all", self._user())

    def see(self) -> None:
        self._send("POST", "/api/notifications/seen", self._user())

    def schedule(self) -> None:
        soon = datetime.now(UTC) + timedelta(seconds=self._random.uniform(0.2, 3))
        body = draft(self._title(), user_id=self._user(), send_at=soon.isoformat())
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        self._account.attempted += 1
        try:
            answer = self._http.post(
                self._random.choice(self._scene.urls) + "/api/notifications",
                json=body,
                headers=headers | {"Authorization": f"Bearer {self._scene.stack.token('producer', WRITE)}"},
            )
        except httpx.HTTPError:
            return  # it is not repeated: its time may have come
        self._account.scheduled += answer.status_code == httpx.codes.ACCEPTED

    def announce(self) -> None:
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        body = draft(self._title(), topic="everyone")
        if answer := self._send("POST", "/api/announcements", "producer", json=body, headers=headers):
            self._account.announced.add(answer.json()["id"])

    def delete_announcement(self) -> None:
        if known := sorted(self._account.announced - self._account.deleted):
            number = self._random.choice(known)
            self._account.deleted.add(number)
            self._send("DELETE", f"/api/announcements/{number}", "producer")

    def _put(self, **fields: Any) -> None:
        key = self._random.choice(KEYS)
        body = draft(self._title(), user_id=self._user(), **fields)
        headers = {"Idempotency-Key": secrets.token_hex(8)}
        answer = self._send("PUT", f"/api/notifications/keys/{key}", "producer", json=body, headers=headers)
        self._account.created[headers["Idempotency-Key"]] = int(answer.json()["revision"] == 1 if answer else 0)

    def _produce(self, path: str, body: dict[str, Any], count: int = 1) -> Any:
        key = secrets.token_hex(8)
        answer = self._send(
            "POST", f"/api/notifications{path}", "producer", json=body, headers={"Idempotency-Key": key}
        )
        self._account.created[key] = count
        return answer.json() if answer else {"notifications": []}

    def _send(self, method: str, path: str, user: str, **options: Any) -> httpx.Response | None:
        """Repeat until it succeeds; a repeated deletion may be a 404."""
        headers = {"Authorization": f"Bearer {self._scene.stack.token(user, WRITE)}", **options.pop("headers", {})}
        end = time.monotonic() + GIVE_UP
        while time.monotonic() < end:
            url = self._random.choice(self._scene.urls)
            try:
                answer = self._http.request(method, url + path, headers=headers, **options)
            except httpx.HTTPError as exc:
                self._account.repeats[type(exc).__name__] += 1
            else:
                if answer.is_success or (method == "DELETE" and answer.status_code == 404):
                    return answer
                self._note(method, path, answer)
            time.sleep(RETRY)
        self._account.surprises.append(f"{method} {path} was not answered in {GIVE_UP} s")
        return None

    def _note(self, method: str, path: str, answer: httpx.Response) -> None:
        self._account.repeats[str(answer.status_code)] += 1
        ours = answer.headers.get("Content-Type") == "application/problem+json"
        if ours and answer.status_code not in (409, 503):  # the proxy's own 502 is expected
            self._account.surprises.append(f"{method} {path}: {answer.status_code} {answer.text[:300]}")

    def _remember(self, made: list[dict[str, Any]]) -> None:
        for notification in made:
            if "user_id" in notification:
                self._recent[notification["user_id"]].append(notification["id"])

    def _some(self, user: str) -> list[int]:
        recent = self._recent[user]
        return self._random.sample(list(recent), k=min(len(recent), self._random.randint(1, 5)))

    def _user(self) -> str:
        return self._random.choice(self._scene.users)

    def _title(self) -> str:
        return f"{self._random.getrandbits(64):x}"
