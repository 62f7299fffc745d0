"""Notifications that a host's sessions commit, seen on the host's own connection, and removed at the end."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from unittest.mock import patch

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from shirase.inbox import events
from shirase.sqlalchemy.notifier import Notifier, Pending, bind_of
from shirase.store import log
from shirase.store.database import Database, join
from shirase.testing.recorder import Fields, as_fields
from shirase.testing.rows import announced, remove
from shirase.types import Event

CLEANING = 5.0  # seconds that the rows' locks may take


@dataclass(slots=True)
class Rows:
    """What was committed to one database."""

    events: list[Event] = field(default_factory=list)
    announcements: list[int] = field(default_factory=list)

    def remove(self, db: Connection) -> None:
        """Leave none of it behind."""
        remove(db, self.events, self.announcements)


class Sessions:
    """Reads the rows after each commit, since a savepoint of it may have been rolled back."""

    def __init__(self) -> None:
        self._committed: list[Fields] = []
        self._announced: list[Fields] = []
        self._seen: dict[tuple[Engine, str | None], Rows] = {}

    def committed(self) -> list[Fields]:
        """The rows that are committed by now."""
        return list(self._committed)

    def announced(self) -> list[Fields]:
        """The announcements that are committed by now."""
        return list(self._announced)

    def take(self, notifier: Notifier, session: Session, pending: Pending) -> None:
        """Called instead of a publish, at the end of a committed transaction."""
        bind, schema = bind_of(session), notifier.schema
        if isinstance(bind, Connection):  # a test's own, which rolls everything back: nothing is ours to remove
            self._read(bind, schema, pending)
            return
        with bind.connect() as connection:
            seen = self._seen.setdefault((bind, schema), Rows())
            seen.events.extend(self._read(connection, schema, pending))
            seen.announcements.extend(pending.announced)

    def remove(self) -> None:
        """Leave no row behind."""
        for (engine, schema), seen in self._seen.items():
            if engine.url.database in (None, "", ":memory:") and engine.dialect.is_async:
                continue  # gone with its engine
            if engine.url.database in (None, "", ":memory:"):
                with engine.begin() as connection, join(connection, schema) as db:
                    seen.remove(db)
                continue
            # By a driver that needs no event loop.
            url = engine.url.render_as_string(hide_password=False)
            with closing(Database(url, CLEANING, schema)) as database, database.transaction() as db:
                seen.remove(db)

    def _read(self, connection: Connection, schema: str | None, pending: Pending) -> list[Event]:
        with join(connection, schema) as db:
            appended = log.unpublished_among(db, pending.places, datetime.now(UTC))
            self._announced += announced(db, pending.announced)
        self._committed += [
            as_fields(events.notification_fields(event.notification)) for event in appended if event.notification
        ]
        return appended


@contextmanager
def record() -> Iterator[Sessions]:
    """Have every notifier hand over what it would publish."""
    sessions = Sessions()

    def take(notifier: Notifier, session: Session, pending: Pending) -> None:
        sessions.take(notifier, session, pending)

    try:
        with patch.object(Notifier, "publish_committed", take):
            yield sessions
    finally:
        sessions.remove()
