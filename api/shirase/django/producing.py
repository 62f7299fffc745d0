"""Notifications in a site's own transaction: they exist if and only if the site's change is committed.

    with transaction.atomic():
        interview.save()
        notify(user=candidate, type="interview.scheduled", title="Interview", message="Tomorrow at ten")

They are appended on Django's connection, and published by ``transaction.on_commit``; if that fails, the relay publishes
them. A user's log is locked until the transaction ends: keep it short, and notify several users in one call.
"""

from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Unpack

from django.db import transaction
from sqlalchemy import Connection

from shirase import metrics
from shirase.fields import AddressedInput, KeyedInput, UserId
from shirase.inbox.drafts import NewAnnouncementNow, NewBatch, NewBroadcast, NewEntry, Retraction, check
from shirase.inbox.notifications import publish_places
from shirase.inbox.payloads import check_payloads
from shirase.store import announcements, keyed
from shirase.store import retract as retract_store
from shirase.types import EVERYONE, NOTIFICATION, Announcement, Draft, Event, Notification, Stored


def notify(*, user: Any = None, user_id: UserId | None = None, **fields: Unpack[KeyedInput]) -> Notification | None:
    """Create a notification in the transaction that is open on the connection ``SHIRASE["DATABASE"]``, or in its own.

    Args:
        user: one of the site's users, mapped by ``SHIRASE["USER_ID"]``.
        user_id: the id, instead of ``user``.
        fields: the content, as in ``POST /api/notifications``.

    Returns:
        The notification; ``None`` if the user has muted it, in which case nothing was stored.

    Raises:
        Invalid: with the invalid fields; nothing was written.
        django.db.Error: as for any query of the site.
    """
    if (user is None) == (user_id is None):
        raise TypeError("notify() takes either user or user_id")
    user_id = _shirase().site.user_id(user) if user_id is None else user_id
    return _append([check(NewEntry, {"user_id": user_id, **fields}).draft()])[0]


def retract(*, user: Any = None, user_id: UserId | None = None, key: str) -> None:
    """Retract the user's notification of this key, if any; arguments and errors as for ``notify``."""
    if (user is None) == (user_id is None):
        raise TypeError("retract() takes either user or user_id")
    user_id = _shirase().site.user_id(user) if user_id is None else user_id
    retraction = check(Retraction, {"user_id": user_id, "key": key})
    _run(lambda db: retract_store.retract(db, retraction.user_id, retraction.key, datetime.now(UTC)))


def notify_many(notifications: Iterable[AddressedInput]) -> list[Notification | None]:
    """Create 1 to 1,000 notifications, each with ``user_id`` and content, in order; otherwise as ``notify``."""
    return _append(check(NewBatch, {"notifications": [dict(fields) for fields in notifications]}).drafts())


def broadcast(
    *, users: Iterable[Any] = (), user_ids: Iterable[UserId] = (), **fields: Unpack[KeyedInput]
) -> list[Notification | None]:
    """Create the same for each of 1 to 10,000 distinct users, or their ids; otherwise as ``notify``."""
    ids = [*map(_shirase().site.user_id, users), *user_ids]
    return _append(check(NewBroadcast, {"user_ids": ids, **fields}).drafts())


def announce(*, topic: str = EVERYONE, for_newcomers: bool = False, **fields: Unpack[KeyedInput]) -> Announcement:
    """Announce something to every user of a topic, stored once; transaction and errors as for ``notify``.

    Other announcements wait until the transaction ends.
    """
    return _announce(check(NewAnnouncementNow, {"topic": topic, "for_newcomers": for_newcomers, **fields}))


def _announce(announcement: NewAnnouncementNow) -> Announcement:
    application = _shirase()
    draft = announcement.draft()
    check_payloads(application.site.settings.type_catalogue, [draft])
    with transaction.atomic(using=application.site.alias, savepoint=False), application.database.within() as db:
        return announcements.add(
            db, announcement.topic, draft, datetime.now(UTC), for_newcomers=announcement.for_newcomers
        )


def _append(drafts: list[Draft]) -> list[Notification | None]:
    check_payloads(_shirase().site.settings.type_catalogue, drafts)
    results: list[Stored] = []

    def put(db: Connection) -> list[Event]:
        results.extend(keyed.put(db, drafts, datetime.now(UTC)))
        return [event for result in results for event in result.events]

    _run(put)
    return [result.notification for result in results]


def _run(append: Callable[[Connection], list[Event]]) -> None:
    """Append events in the site's transaction, and publish them after its commit."""
    application = _shirase()
    alias = application.site.alias
    with transaction.atomic(using=alias, savepoint=False):
        with application.database.within() as joined:
            appended = append(joined)
        places = [(event.user_id, event.seq) for event in appended]
        created = sum(event.kind == NOTIFICATION for event in appended)

        def publish() -> None:
            metrics.CREATED.inc(created)
            publish_places(application.database, application.publisher, places)

        transaction.on_commit(publish, using=alias)


def _shirase() -> Any:
    from shirase.django.apps import shirase  # noqa: PLC0415 - this module may be imported before Django is set up

    return shirase()
