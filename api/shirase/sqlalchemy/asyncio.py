"""Notifications in the transaction of an ``AsyncSession``.

    Notifier(Settings.from_env(os.environ)).attach(sessions)  # an async_sessionmaker, once, at the start

    async with sessions.begin() as session:
        session.add(interview)
        await notify(session, user_id=42, type="interview.scheduled", title="Interview", message="Tomorrow at ten")

The notification is stored by the session's own driver, such as asyncpg, psycopg or aiosqlite. It is published by a
thread after the commit, so that neither the database nor a control port that hangs ever holds up the event loop.
"""

from collections.abc import Iterable
from typing import Any, Unpack

from sqlalchemy.ext.asyncio import AsyncSession, async_scoped_session
from sqlalchemy.orm import Session

from shirase.fields import AddressedInput, KeyedInput, UserId
from shirase.sqlalchemy import notifier
from shirase.sqlalchemy.notifier import Notifier
from shirase.types import EVERYONE, Announcement, Notification

__all__ = ["Notifier", "announce", "broadcast", "notify", "notify_many", "retract"]

AnyAsyncSession = AsyncSession | async_scoped_session[Any]


async def notify(session: AnyAsyncSession, **fields: Unpack[AddressedInput]) -> Notification | None:
    """Create a notification in the session's transaction; results and errors as for ``shirase.notify``."""

    def create(own: Session) -> Notification | None:
        return notifier.notify(own, **fields)

    return await _own(session).run_sync(create)


async def retract(session: AnyAsyncSession, *, user_id: UserId, key: str) -> None:
    """Retract the user's notification of this key, if any."""

    def remove(own: Session) -> None:
        notifier.retract(own, user_id=user_id, key=key)

    await _own(session).run_sync(remove)


async def notify_many(session: AnyAsyncSession, inputs: Iterable[AddressedInput]) -> list[Notification | None]:
    """Create 1 to 1,000 notifications, each with a ``user_id`` and its content, in order."""

    def create(own: Session) -> list[Notification | None]:
        return notifier.notify_many(own, inputs)

    return await _own(session).run_sync(create)


async def broadcast(
    session: AnyAsyncSession, *, user_ids: Iterable[UserId], **fields: Unpack[KeyedInput]
) -> list[Notification | None]:
    """Create the same for each of 1 to 10,000 distinct users."""

    def create(own: Session) -> list[Notification | None]:
        return notifier.broadcast(own, user_ids=user_ids, **fields)

    return await _own(session).run_sync(create)


async def announce(
    session: AnyAsyncSession, *, topic: str = EVERYONE, for_newcomers: bool = False, **fields: Unpack[KeyedInput]
) -> Announcement:
    """Announce something to every user of a topic, stored once."""

    def create(own: Session) -> Announcement:
        return notifier.announce(own, topic=topic, for_newcomers=for_newcomers, **fields)

    return await _own(session).run_sync(create)


def _own(session: AnyAsyncSession) -> AsyncSession:
    own = session() if isinstance(session, async_scoped_session) else session
    if not isinstance(own, AsyncSession):
        raise TypeError(f"notify takes an AsyncSession here, not {own!r}; for a Session there is shirase.notify")
    return own
