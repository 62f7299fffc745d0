"""Notifications that a host's sessions commit, seen on the host's own connection, and removed at the end."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from unittest.mock import patch

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from shirase.inbox import events
from shirase.sqlalchemy.notifier import Notifier, Pending
from shirase.store import log
from shirase.store.database import Database, join
from shirase.testing.recorder import Fields, as_fields
from shirase.testing.rows import remove
from shirase.types import Event

CLEANING = 5.0  # seconds that the rows' locks may take


class Sessions:
    """Reads the rows after each commit, since a savepoint of it may have been rolled back."""

    def __init__(self) -> None:
        self._committed: list[Fields] = []
        self._seen: dict[tuple[Engine, str | None], list[Event]] = {}

    def committed(self) -> list[Fields]:
        """The rows that are committed by now."""
        return list(self._committed)

    def take(self, notifier: Notifier, session: Session, pending: Pending) -> None:
        """Called instead of a publish, at the end of a committed transaction."""
        bind, schema = session.get_bind(), notifier.schema
        if isinstance(bind, Connection):  # a test's own, which rolls everything back: nothing is ours to remove
            self._read(bind, schema, pending)
            return
        with bind.connect() as connection:
            self._seen.setdefault((bind, schema), []).extend(self._read(connection, schema, pending))

    def remove(self) -> None:
        """Leave no row behind."""
        for (engine, schema), appended in self._seen.items():
            if engine.url.database in (None, "", ":memory:") and engine.dialect.is_async:
                continue  # gone with its engine
            if engine.url.database in (None, "", ":memory:"):
                with engine.begin() as connection, join(connection, schema) as db:
                    remove(db, appended)
                continue
            # By a driver that needs no event loop.
            url = engine.url.render_as_string(hide_password=False)
            with closing(Database(url, CLEANING, schema)) as database, database.transaction() as db:
                remove(db, appended)

    def _read(self, connection: Connection, schema: str | None, pending: Pending) -> list[Event]:
        with join(connection, schema) as db:
            appended = log.unpublished_among(db, pending.places, datetime.now(UTC))
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
