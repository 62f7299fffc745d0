"""Notifications that a Django site's transactions commit, seen on Django's own connection.

Under ``TestCase`` nothing is ever committed: there a block counts as committed when it was left, and the test's own
blocks around it do not count.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch

from django.db import connections

from shirase.django import producing
from shirase.django.apps import shirase
from shirase.inbox import events
from shirase.inbox.drafts import NewAnnouncementNow
from shirase.store import inbox, log
from shirase.testing.recorder import Fields, as_fields
from shirase.testing.rows import announced, remove
from shirase.types import Announcement, Draft, Event, Notification


class Blocks:
    """The notifications and announcements, and the blocks that they were stored in."""

    def __init__(self) -> None:
        # By their ids, which SQLite reuses after a rollback.
        self._appended: dict[int, tuple[Notification, list[Any]]] = {}
        self._announced: dict[int, list[Any]] = {}

    def append(self, drafts: list[Draft]) -> list[Notification | None]:
        """Append as the site does, and record the open blocks."""
        open_now = _open_blocks()
        appended = _APPEND(drafts)
        self._appended |= {notification.id: (notification, open_now) for notification in appended if notification}
        return appended

    def announce(self, announcement: NewAnnouncementNow) -> Announcement:
        """Announce as the site does, and record the open blocks."""
        open_now = _open_blocks()
        added = _ANNOUNCE(announcement)
        self._announced[added.id] = open_now
        return added

    def announced(self) -> list[Fields]:
        """The announcements that remain of finished blocks."""
        open_now = _open_blocks()
        left = [number for number, blocks in self._announced.items() if not any(block in open_now for block in blocks)]
        if not left:
            return []
        with shirase().database.within() as db:
            return announced(db, left)

    def committed(self) -> list[Fields]:
        """The rows that remain of finished blocks."""
        open_now = _open_blocks()
        left = [
            notification
            for notification, blocks in self._appended.values()
            if not any(block in open_now for block in blocks)
        ]
        if not left:
            return []
        now = datetime.now(UTC)
        with shirase().database.within() as db:
            stored = [inbox.get(db, notification.user_id, notification.id, now) for notification in left]
        return [as_fields(events.notification_fields(notification)) for notification in stored if notification]

    def remove(self) -> None:
        """Leave no row behind, except those that a ``TestCase`` is about to roll back."""
        application = shirase()
        if not (self._appended or self._announced) or connections[application.site.alias].in_atomic_block:
            return
        users = {notification.user_id for notification, _ in self._appended.values()}
        with application.database.transaction() as db:
            appended: list[Event] = []
            for user_id in users:
                head = log.position(db, user_id, datetime.now(UTC)).head
                logged = log.read_events(db, user_id, 1, head, head + 1, datetime.now(UTC))
                appended += [
                    event for event in logged if event.notification and event.notification.id in self._appended
                ]
            remove(db, appended, self._announced)


# The places through which all of them go.
_APPEND = producing._append  # noqa: SLF001
_ANNOUNCE = producing._announce  # noqa: SLF001


def _open_blocks() -> list[Any]:
    """The site's blocks that are open now; those of ``TestCase`` are not the site's."""
    connection = connections[shirase().site.alias]
    return [block for block in connection.atomic_blocks if not block._from_testcase]  # noqa: SLF001


@contextmanager
def record() -> Iterator[Blocks]:
    """Record the site's notifications, and publish nothing."""
    blocks = Blocks()
    try:
        with (
            patch.object(producing, "_append", blocks.append),
            patch.object(producing, "_announce", blocks.announce),
            patch.object(producing, "publish_places", lambda *_: None),
        ):
            yield blocks
    finally:
        blocks.remove()
