"""A running stack from the outside: producers, browsers, and the database."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import func, select

from shirase.access.tokens import ADMIN, WRITE
from shirase.store import log
from shirase.store.database import Database
from shirase.store.tables import EventRow
from shirase.types import Event
from tests.support.browser_like import Browsers, Device
from tests.support.stack import Stack

REQUEST_TIMEOUT = 20.0
AT_ONCE = 10  # streams
PRODUCER = "producer"


@dataclass(frozen=True)
class Service:
    """A stack, browsers that listen to it, and its database to compare with."""

    stack: Stack
    browsers: Browsers
    database: Database
    http: httpx.Client

    def open(
        self,
        user: str,
        *,
        node: int = 0,
        cursor: str | None = None,
        reconnect: bool = True,
        renew: bool = False,
        longest_retry: float | None = None,
        greeted: bool = True,
    ) -> Device:
        """Open a stream of the user; by default, wait for ``connected``."""
        device = self.browsers.open(
            self.stack.urls[node],
            self.stack.token(user),
            cursor=cursor,
            reconnect=reconnect,
            renew=renew,
            longest_retry=longest_retry,
        )
        if greeted:
            device.wait(lambda seen: seen.named("connected") or seen.named("reset"))
        return device

    def open_many(self, users: list[str], **options: Any) -> list[Device]:
        """Open a stream for each user, a few at a time: of many at once, Pushpin 1.36 occasionally cancels one."""
        devices: list[Device] = []
        for first in range(0, len(users), AT_ONCE):
            some = [self.open(user, greeted=False, **options) for user in users[first : first + AT_ONCE]]
            for device in some:
                device.wait(lambda seen: seen.named("connected"))
            devices += some
        return devices

    def ask(
        self, method: str, path: str, user: str = PRODUCER, *, scope: str = "", url: str = "", **options: Any
    ) -> httpx.Response:
        """Send one request on its own connection."""
        headers = {"Authorization": f"Bearer {self.stack.token(user, scope)}", **options.pop("headers", {})}
        return self.http.request(method, (url or self.stack.url) + path, headers=headers, **options)

    def produce(self, path: str, body: dict[str, Any], **options: Any) -> Any:
        """Send a producer's request, which must succeed."""
        answer = self.ask("POST", f"/api/notifications{path}", scope=f"{WRITE} {ADMIN}", json=body, **options)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def ask_to_create(self, user: str, title: str = "title", **options: Any) -> httpx.Response:
        """Try to create one notification."""
        return self.ask("POST", "/api/notifications", scope=WRITE, json=draft(title, user_id=user), **options)

    def create(self, user: str, title: str = "title", **options: Any) -> Any:
        """Create one notification."""
        return self.produce("", draft(title, user_id=user), **options)

    def create_batch(self, user: str, titles: list[str], **options: Any) -> Any:
        """Create several for one user in one transaction."""
        drafts = [draft(title, user_id=user) for title in titles]
        return self.produce("/batch", {"notifications": drafts}, **options)

    def log_of(self, user: str) -> list[Event]:
        """Read the user's log."""
        now = datetime.now(UTC)
        with self.database.autocommit() as db:
            head = log.position(db, user, now).head
            return log.read_events(db, user, 1, head, head + 1, now)

    def unpublished(self) -> int:
        """Count the events that no proxy has accepted."""
        with self.database.autocommit() as db:
            return db.scalar(select(func.count()).where(EventRow.published_at.is_(None))) or 0

    def seqs_of(self, user: str) -> list[int]:
        """Read the positions in the user's log."""
        return [event.seq for event in self.log_of(user)]


@contextmanager
def service(stack: Stack, browsers: Browsers) -> Iterator[Service]:
    """Connect to a running stack."""
    # One connection per request, requested by a header: a pool that keeps no connections occasionally closes one that
    # another thread was just given.
    alone = {"Connection": "close"}
    limits = httpx.Limits(max_connections=None)
    with (
        closing(Database(stack.settings.database_url)) as database,
        httpx.Client(timeout=REQUEST_TIMEOUT, headers=alone, limits=limits, trust_env=False) as http,
    ):
        yield Service(stack, browsers, database, http)


def draft(title: str = "title", **fields: Any) -> dict[str, Any]:
    """A producer's notification."""
    return {"type": "test", "title": title, "message": "", **fields}
