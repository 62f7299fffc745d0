"""Shared by the tests of announcements."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from shirase.inbox import announcements, connections, inbox, streams
from shirase.proxy.publisher import Publisher
from shirase.settings import Settings
from shirase.store import announcements as store
from shirase.store import keyed
from shirase.store.database import Database
from shirase.types import EVERYONE, Announcement, Draft
from tests.support.content import content
from tests.support.event_stream import parse

Announce = Callable[..., Announcement]


def announcer(database: Database) -> Announce:
    """Return a function that announces."""

    def make(title: str = "A", topic: str = EVERYONE, *, for_newcomers: bool = False, **fields: Any) -> Announcement:
        draft = Draft("", content(title=title, **fields))
        with database.transaction() as db:
            return store.add(db, topic, draft, datetime.now(UTC), for_newcomers=for_newcomers)

    return make


def know(database: Database, *users: str) -> None:
    """These users have appeared."""
    with database.transaction() as db:
        keyed.lock(db, sorted(users))


def titles(database: Database, publisher: Publisher, user: str, named: set[str] | None = None) -> list[str]:
    """The user's list, oldest first, as a GET shows it."""
    at = announcements.arrive(database, publisher, user, named)
    shown, unread, *_ = inbox.page(database, user, limit=200, at=at)
    assert unread == sum(notification.read_at is None for notification in shown)
    return [notification.content.title for notification in reversed(shown)]


def opened(database: Database, publisher: Publisher, settings: Settings, user: str) -> dict[str, Any]:
    connection = connections.new(settings, user, None, "", "")
    answer = streams.open_stream(database, publisher, settings, connection, None)
    result: dict[str, Any] = parse(answer.body).events[0].json()
    return result


def rows(database: Database, table: str) -> int:
    with database.autocommit() as db:
        return int(db.execute(text(f"SELECT count(*) FROM shirase_{table}")).scalar_one())  # noqa: S608
